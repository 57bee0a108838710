//! Code lists: the values that coded fields take, with their names and other spellings.
//!
//! What is built in stands in `codes/*.csv`, one row a code: `list,code,name,aliases` (aliases separated by `|`), for units
//! also `normal,factor`. ISO 3166-1 and 4217 are facts written down by us; of UN/ECE Rec 20 and 21 there is what
//! seizures are counted in; all other lists are our own. An operator may install official lists beside them, see
//! [`CodeLists::load_dir`].
//!
//! ```
//! use icomm_proto::codes::{CodeLists, List};
//!
//! let lists = CodeLists::built_in();
//! assert!(lists.list(List::Unit).contains("GRM"));
//! assert_eq!(lists.list(List::Unit).code_of("Gram"), Some("GRM"));
//! assert_eq!(lists.list(List::Drug).code_of("Alprazolam (Xanax)"), Some("alprazolam"));
//! ```

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;

mod install;
mod list;
mod table;

pub use install::InvalidCodeList;
pub use list::List;

/// Version of the lists that are built in. Changes with any of them.
const BUILT_IN_VERSION: &str = "2026-11";

const BUILT_IN: [(&str, &str); 8] = [
    ("countries.csv", include_str!("../codes/countries.csv")),
    ("currencies.csv", include_str!("../codes/currencies.csv")),
    ("drugs.csv", include_str!("../codes/drugs.csv")),
    ("kinds.csv", include_str!("../codes/kinds.csv")),
    ("packages.csv", include_str!("../codes/packages.csv")),
    ("places.csv", include_str!("../codes/places.csv")),
    ("record.csv", include_str!("../codes/record.csv")),
    ("units.csv", include_str!("../codes/units.csv")),
];

/// All code lists, each with its version.
#[derive(Clone, Debug)]
pub struct CodeLists {
    /// INVARIANT: one for each of `List::ALL`, in that order.
    lists: Vec<CodeList>,
    conversions: FxHashMap<String, Conversion>,
}

/// One code list.
///
/// Its tables are hashed without a secret: only we and the operator put anything into them.
#[derive(Clone, Debug)]
pub struct CodeList {
    list: List,
    version: String,
    names: FxHashMap<String, Name>,
    /// Folded code, name or alias to code.
    spellings: FxHashMap<String, String>,
}

/// What a code stands for.
#[derive(Clone, Debug)]
struct Name {
    text: String,
    /// Whether the code, folded, leads to itself; if not, another code had that spelling before.
    leads_to_itself: bool,
}

/// How a quantity in one unit becomes one in a normal unit: kilogram `KGM`, litre `LTR`, piece `H87`, hectare `HAR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The normal unit's code.
    pub unit: String,
    /// What one of the other unit is in it.
    pub factor: Decimal,
}

impl CodeLists {
    /// The lists that are built in.
    #[must_use]
    pub fn built_in() -> Self {
        let lists = List::ALL.iter().map(|list| CodeList::empty(*list)).collect();
        let mut lists = Self {
            lists,
            conversions: FxHashMap::default(),
        };
        for (file, text) in BUILT_IN {
            // Our own files: a test reads each of them, so this never fails in a build that passed its tests.
            let added = lists.add_table(text.as_bytes(), None);
            debug_assert!(added.is_ok(), "{file}: {added:?}");
        }
        lists
    }

    /// One of the lists.
    #[must_use]
    pub fn list(&self, list: List) -> &CodeList {
        static NONE: std::sync::LazyLock<CodeList> = std::sync::LazyLock::new(|| CodeList::empty(List::KindOther));
        // `List` numbers its variants in the order of `ALL`.
        self.lists.get(list as usize).unwrap_or(&NONE)
    }

    /// Name and version of every list, as `icomm status` and the trust bundle show them.
    pub fn versions(&self) -> impl Iterator<Item = (List, &str)> {
        self.lists.iter().map(|list| (list.list, list.version.as_str()))
    }

    /// How to normalise a quantity in this unit; None where the unit has no conversion (a pair, a metre).
    #[must_use]
    pub fn conversion(&self, unit: &str) -> Option<&Conversion> {
        self.conversions.get(unit)
    }
}

impl CodeList {
    fn empty(list: List) -> Self {
        Self {
            list,
            version: BUILT_IN_VERSION.to_owned(),
            names: FxHashMap::default(),
            spellings: FxHashMap::default(),
        }
    }

    /// Which list it is.
    #[must_use]
    pub const fn list(&self) -> List {
        self.list
    }

    /// Its version: of what is built in, and after a `+` a digest of each file installed over it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// How many codes it has. None: only its structure is known (`hs`, `unlocode` without an installed list).
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether it has no codes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether `code` is one of its codes, spelt exactly.
    #[must_use]
    pub fn contains(&self, code: &str) -> bool {
        self.names.contains_key(code)
    }

    /// What a code stands for.
    #[must_use]
    pub fn name(&self, code: &str) -> Option<&str> {
        self.names.get(code).map(|name| name.text.as_str())
    }

    /// Its codes and what they stand for, in no order.
    pub fn codes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names
            .iter()
            .map(|(code, name)| (code.as_str(), name.text.as_str()))
    }

    /// The code of what somebody wrote: a code, a name or an alias, whatever its case and punctuation. For intake; a
    /// record itself takes codes only.
    #[must_use]
    pub fn code_of(&self, text: &str) -> Option<&str> {
        // Most files hold codes as they are.
        if let Some((code, name)) = self.names.get_key_value(text)
            && name.leads_to_itself
        {
            return Some(code);
        }
        self.spellings.get(&folded(text)).map(String::as_str)
    }

    /// The code that somebody who wrote `text` may have meant.
    #[must_use]
    pub fn suggestion(&self, text: &str) -> Option<&str> {
        /// Longer texts are no misspelt codes; comparing them with thousands of codes would cost too much.
        const CHARS_MAX: usize = 40;
        if let Some(code) = self.code_of(text) {
            return Some(code);
        }
        let folded = folded(text);
        let length = folded.chars().count();
        if length == 0 || length > CHARS_MAX {
            return None;
        }
        let nearest = self
            .spellings
            .iter()
            .map(|(spelling, code)| (strsim::osa_distance(&folded, spelling), code))
            .min()?;
        // A third of the letters wrong is another word.
        (nearest.0 * 3 <= length).then_some(nearest.1.as_str())
    }

    /// Adds a code, or another name or more aliases for one that is there.
    fn add<'a>(&mut self, code: &'a str, name: &'a str, aliases: impl Iterator<Item = &'a str>) {
        // The first to claim a spelling keeps it: what is built in never changes its meaning by an installed list.
        for spelling in [code, name].into_iter().chain(aliases) {
            let spelling = folded(spelling);
            if !spelling.is_empty() {
                self.spellings.entry(spelling).or_insert_with(|| code.to_owned());
            }
        }
        let leads_to_itself = self.spellings.get(&folded(code)).is_some_and(|first| first == code);
        self.names.entry(code.to_owned()).or_insert_with(|| Name {
            text: name.to_owned(),
            leads_to_itself,
        });
    }
}

/// Whether it has the form of a UN/LOCODE: two letters and three of A-Z, 2-9.
pub(crate) fn is_locode(text: &str) -> bool {
    let (mut country, mut place) = (text.bytes().take(2), text.bytes().skip(2));
    text.len() == 5
        && country.all(|byte| byte.is_ascii_uppercase())
        && place.all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'2'..=b'9'))
}

/// Small letters and digits with one space between words: how spellings are compared. Accents are kept.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend(word.chars().flat_map(char::to_lowercase));
    }
    out
}

#[cfg(test)]
pub(crate) mod tests;
