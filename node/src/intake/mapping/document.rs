//! The TOML form of a mapping, and its way into the checked one.

use std::collections::{BTreeMap, BTreeSet};

use icomm_proto::RecordKind;
use serde::Deserialize;

use super::field::FieldDocument;
use super::table::{Table, TableDocument};
use super::{FIELDS_MAX, InvalidMapping, KeyColumns, Mapping, OwnerColumn, builtin};
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
    pub(super) fn compile(self) -> Result<Mapping, InvalidMapping> {
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
        let tables = compile_tables(table)?;

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
            tables,
        })
    }
}

impl OwnerDocument {
    fn compile(self, tables: &BTreeMap<String, Table>) -> Result<OwnerColumn, InvalidMapping> {
        let Self {
            column,
            table,
            belongs,
            blank_is_mine,
        } = self;
        if let Some(unknown) = table.as_ref().filter(|name| !tables.contains_key(*name)) {
            return Err(InvalidMapping::Owner(format!("there is no table `{unknown}`")));
        }
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

/// The mapping's own tables and the built-in ones. One that extends a built-in table takes over what that knows.
fn compile_tables(documents: BTreeMap<String, TableDocument>) -> Result<BTreeMap<String, Table>, InvalidMapping> {
    let mut tables = BTreeMap::new();
    for (name, text) in builtin::TABLES {
        let document: TableDocument = toml::from_str(text).map_err(Box::new)?;
        tables.insert((*name).to_owned(), document.compile(name, None)?);
    }
    let mut own = BTreeMap::new();
    for (name, document) in documents {
        let base = match document.extends() {
            None => None,
            Some(base) => Some(tables.get(base).ok_or_else(|| InvalidMapping::Table {
                table: name.clone(),
                problem: format!("it extends `{base}`, which is no built-in table"),
            })?),
        };
        own.insert(name.clone(), document.compile(&name, base)?);
    }
    tables.extend(own);
    Ok(tables)
}
