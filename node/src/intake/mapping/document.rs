//! The TOML form of a mapping, and its way into the checked one.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use icomm_proto::RecordKind;
use icomm_proto::codes::CodeLists;
use serde::Deserialize;

use super::field::{FieldDocument, Reading, Source, Tables};
use super::table::TableDocument;
use super::{FIELDS_MAX, InvalidMapping, KeyColumns, Mapping, OwnerColumn};
use crate::intake::rows::ReadOptions;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    name: String,
    #[serde(default)]
    title: String,
    kind: RecordKind,
    #[serde(default)]
    file: ReadOptions,
    owner: Option<OwnerDocument>,
    #[serde(default)]
    ignore: Vec<String>,
    #[serde(default)]
    key: KeyDocument,
    field: Vec<FieldDocument>,
    #[serde(default)]
    table: BTreeMap<String, TableDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnerDocument {
    column: String,
    table: Option<String>,
    list: Option<String>,
    #[serde(default)]
    belongs: BTreeMap<String, String>,
    #[serde(default)]
    blank_is_mine: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyDocument {
    only: Option<Vec<String>>,
    except: Option<Vec<String>>,
}

impl Document {
    pub(super) fn compile(self, lists: &Arc<CodeLists>) -> Result<Mapping, InvalidMapping> {
        let Self {
            name,
            title,
            kind,
            file,
            owner,
            ignore,
            key,
            field,
            table,
        } = self;
        let mut tables = Tables {
            own: BTreeMap::new(),
            lists,
        };
        for (name, document) in table {
            let compiled = Arc::new(document.compile(&name, lists)?);
            tables.own.insert(name, compiled);
        }

        let mut fields = Vec::new();
        for (position, document) in field.into_iter().enumerate() {
            fields.extend(document.compile(position + 1, &tables)?);
            if fields.len() > FIELDS_MAX {
                return Err(InvalidMapping::TooManyFields);
            }
        }

        let lower = |names: Vec<String>| -> BTreeSet<String> { names.iter().map(|name| name.to_lowercase()).collect() };
        let key = match (key.only, key.except) {
            (Some(_), Some(_)) => return Err(InvalidMapping::Key),
            (Some(only), None) => KeyColumns::Only(lower(only)),
            (None, except) => KeyColumns::AllBut(lower(except.unwrap_or_default())),
        };
        let mut measured = HashMap::new();
        for (place, field) in fields.iter().enumerate() {
            if let Source::Column {
                column,
                reading: Reading::Number(_) | Reading::Quantity { .. } | Reading::Date(_),
                ..
            } = &field.source
            {
                measured.entry(column.to_lowercase()).or_insert(place);
            }
        }
        let owner = owner.map(|owner| owner.compile(&tables)).transpose()?;
        Ok(Mapping {
            name,
            title,
            kind,
            file,
            owner,
            ignored: lower(ignore),
            key,
            fields,
            measured,
        })
    }
}

impl OwnerDocument {
    fn compile(self, tables: &Tables<'_>) -> Result<OwnerColumn, InvalidMapping> {
        let Self {
            column,
            table,
            list,
            belongs,
            blank_is_mine,
        } = self;
        let table = match (table, list) {
            (None, None) => None,
            (Some(name), None) => {
                let unknown = || InvalidMapping::Owner(format!("there is no table `{name}`"));
                Some(Arc::clone(tables.own.get(&name).ok_or_else(unknown)?))
            }
            (None, Some(list)) => Some(tables.of_list(&list)?),
            (Some(_), Some(_)) => return Err(InvalidMapping::Owner("give either `table` or `list`".to_owned())),
        };
        let mut members = BTreeMap::new();
        for (code, member) in belongs {
            let id = member
                .parse()
                .map_err(|_| InvalidMapping::Owner(format!("`{member}` is no member id")))?;
            members.insert(code, id);
        }
        Ok(OwnerColumn {
            column,
            table,
            belongs: members,
            blank_is_mine,
        })
    }
}
