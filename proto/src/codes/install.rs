//! Official lists that an operator installs: what a file is, is seen from its heading or its keys, not from its name.
//!
//! | file | list |
//! |---|---|
//! | CSV `code,name[,aliases]`, named after the list (`unit.csv`) | that list |
//! | CSV `list,code,name[,aliases]` | as each row says |
//! | CSV `section,hscode,description,…` (UN Comtrade's HS table) | `hs` |
//! | CSV `Status,CommonCode,Name,…` (UN/ECE Rec 20) | `unit`, without the codes marked deleted |
//! | CSV `Status,Code,Name,…` (UN/ECE Rec 21) | `package-type`, likewise |
//! | JSON `{"3166-1": [{alpha_2, name}]}`, `{"4217": [{alpha_3, name}]}` (iso-codes) | `country`, `currency` |
//! | JSON `{"KEMBA": {name}}` | `unlocode` |
//!
//! A file adds codes to what is built in; it takes none away. This is the one module of the crate that reads files, at
//! start only.

use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde_json::Value;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{CodeLists, List, is_locode};

/// Largest file read, in bytes. The whole of UN/LOCODE has about 8 MiB.
const FILE_BYTES_MAX: u64 = 32 << 20;

/// A code list that can't be installed: the operator's file.
#[derive(Debug, Error)]
pub enum InvalidCodeList {
    /// In which file.
    #[error("code list `{}` can't be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<Self>,
    },
    /// Reading failed.
    #[error("can't be read")]
    Read(#[from] std::io::Error),
    /// Too large to be a code list.
    #[error("has {0} bytes; the most allowed is {FILE_BYTES_MAX}")]
    TooLarge(u64),
    /// Not CSV.
    #[error("is no valid CSV")]
    Csv(#[from] csv::Error),
    /// Not JSON.
    #[error("is no valid JSON")]
    Json(#[from] serde_json::Error),
    /// A heading, or keys, of no known form.
    #[error("has a form that is not known; a CSV file has the columns `code` and `name` and is named after its list")]
    Heading,
    /// No list of that name.
    #[error("`{0}` is no code list")]
    UnknownList(String),
    /// A row without a code.
    #[error("line {0} has no code")]
    NoCode(u64),
    /// A unit's conversion.
    #[error("unit `{0}` has the factor `{1}`, which is no decimal number")]
    Factor(String, String),
}

impl CodeLists {
    /// Installs every `.csv` and `.json` file of a folder, in the order of their names. All or nothing: on an error the
    /// lists are as before.
    pub fn load_dir(&mut self, folder: &Path) -> Result<(), InvalidCodeList> {
        let at = |path: &Path, source: std::io::Error| InvalidCodeList::File {
            path: path.to_owned(),
            source: Box::new(source.into()),
        };
        let mut files = Vec::new();
        for file in folder.read_dir().map_err(|error| at(folder, error))? {
            let path = file.map_err(|error| at(folder, error))?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "csv" || extension == "json")
            {
                files.push(path);
            }
        }
        files.sort();
        let mut lists = self.clone();
        for file in files {
            lists.load_file(&file)?;
        }
        *self = lists;
        Ok(())
    }

    /// Installs one file.
    pub fn load_file(&mut self, path: &Path) -> Result<(), InvalidCodeList> {
        self.read_file(path).map_err(|source| InvalidCodeList::File {
            path: path.to_owned(),
            source: Box::new(source),
        })
    }

    fn read_file(&mut self, path: &Path) -> Result<(), InvalidCodeList> {
        let size = std::fs::metadata(path)?.len();
        if size > FILE_BYTES_MAX {
            return Err(InvalidCodeList::TooLarge(size));
        }
        let bytes = std::fs::read(path)?;
        let touched = if path.extension().is_some_and(|extension| extension == "json") {
            self.add_json(&serde_json::from_slice(&bytes)?)?
        } else {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            self.add_csv(&bytes, List::named(stem))?
        };
        let digest = HEXLOWER.encode(&Sha256::digest(&bytes));
        for list in touched {
            if let Some(list) = self.lists.get_mut(list as usize) {
                list.version.push('+');
                list.version.extend(digest.chars().take(8));
            }
        }
        Ok(())
    }

    fn add_csv(&mut self, bytes: &[u8], named: Option<List>) -> Result<Vec<List>, InvalidCodeList> {
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(bytes);
        let heading = reader.headers()?.clone();
        let column = |name: &str| heading.iter().position(|column| column == name);
        let (list, code, name) = if let (Some(code), Some(name)) = (column("hscode"), column("description")) {
            (List::Hs, code, name)
        } else if let (Some(code), Some(name)) = (column("CommonCode"), column("Name")) {
            (List::Unit, code, name)
        } else if let (Some(code), Some(name)) = (column("Code"), column("Name")) {
            (List::PackageType, code, name)
        } else if column("list").is_some() || named.is_some() {
            return self.add_table(bytes, named);
        } else {
            return Err(InvalidCodeList::Heading);
        };
        let status = column("Status");
        for row in reader.records() {
            let row = row?;
            let cell = |column: usize| row.get(column).unwrap_or_default().trim();
            let deleted = status.is_some_and(|status| cell(status) == "X");
            let total = list == List::Hs && !cell(code).bytes().all(|byte| byte.is_ascii_digit());
            if !deleted && !total && !cell(code).is_empty() {
                self.add_code(list, cell(code), cell(name), std::iter::empty());
            }
        }
        Ok(vec![list])
    }

    fn add_json(&mut self, value: &Value) -> Result<Vec<List>, InvalidCodeList> {
        let object = value.as_object().ok_or(InvalidCodeList::Heading)?;
        for (key, code, list) in [
            ("3166-1", "alpha_2", List::Country),
            ("4217", "alpha_3", List::Currency),
        ] {
            let Some(items) = object.get(key).and_then(Value::as_array) else {
                continue;
            };
            for item in items {
                let text = |key: &str| item.get(key).and_then(Value::as_str);
                let (Some(code), Some(name)) = (text(code), text("name")) else {
                    return Err(InvalidCodeList::Heading);
                };
                let aliases = [text("common_name"), text("official_name")].into_iter().flatten();
                self.add_code(list, code, name, aliases);
            }
            return Ok(vec![list]);
        }
        if object.is_empty() || !object.keys().all(|key| is_locode(key)) {
            return Err(InvalidCodeList::Heading);
        }
        for (code, place) in object {
            let name = place
                .get("name")
                .and_then(Value::as_str)
                .ok_or(InvalidCodeList::Heading)?;
            self.add_code(List::Unlocode, code, name, std::iter::empty());
        }
        Ok(vec![List::Unlocode])
    }
}
