//! Tables of codes in our own form: CSV with a heading, columns `code` and `name`, optionally `list`, `aliases`, and for
//! units `normal` and `factor`.

use rust_decimal::Decimal;

use super::{CodeLists, Conversion, InvalidCodeList, List};

impl CodeLists {
    /// Adds a table. Rows without a column `list` belong to `list`. Gives the lists that got codes.
    pub(super) fn add_table(&mut self, text: &[u8], list: Option<List>) -> Result<Vec<List>, InvalidCodeList> {
        let mut reader = csv::Reader::from_reader(text);
        let heading = reader.headers()?.clone();
        let column = |name: &str| heading.iter().position(|column| column == name);
        let (Some(code), Some(name)) = (column("code"), column("name")) else {
            return Err(InvalidCodeList::Heading);
        };
        let (list_column, aliases) = (column("list"), column("aliases"));
        let (normal, factor) = (column("normal"), column("factor"));
        let mut touched = Vec::new();
        for row in reader.records() {
            let row = row?;
            let cell = |column: Option<usize>| column.and_then(|column| row.get(column)).unwrap_or_default().trim();
            let list = match list_column {
                Some(_) => List::named(cell(list_column)),
                None => list,
            }
            .ok_or_else(|| InvalidCodeList::UnknownList(cell(list_column).to_owned()))?;
            let code = cell(Some(code));
            if code.is_empty() {
                let line = row.position().map_or(0, csv::Position::line);
                return Err(InvalidCodeList::NoCode(line));
            }
            self.add_code(list, code, cell(Some(name)), cell(aliases).split('|'));
            if list == List::Unit && !cell(normal).is_empty() {
                let factor = Decimal::from_str_exact(cell(factor))
                    .map_err(|_| InvalidCodeList::Factor(code.to_owned(), cell(factor).to_owned()))?;
                let conversion = Conversion {
                    unit: cell(normal).to_owned(),
                    factor,
                };
                self.conversions.entry(code.to_owned()).or_insert(conversion);
            }
            if !touched.contains(&list) {
                touched.push(list);
            }
        }
        Ok(touched)
    }

    /// Adds one code to a list.
    pub(super) fn add_code<'a>(
        &mut self,
        list: List,
        code: &'a str,
        name: &'a str,
        aliases: impl Iterator<Item = &'a str>,
    ) {
        if let Some(list) = self.lists.get_mut(list as usize) {
            list.add(code, name, aliases);
        }
    }
}
