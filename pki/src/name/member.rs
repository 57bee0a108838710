//! Member ids: `KE`, `RILO-ESA`, `WCO`, `INTERPOL`.

use std::{str::FromStr, sync::Arc};

use super::{InvalidName, text_traits};

/// The id of a member: an administration by its ISO 3166-1 code (`KE`), an office (`RILO-ESA`), an organisation.
///
/// `[A-Z][A-Z0-9-]{1,31}` without a hyphen at the end, so that its lower-case form is a DNS label. Cloning is cheap.
///
/// ```
/// let kenya: icomm_pki::MemberId = "KE".parse()?;
/// assert_eq!(kenya.dns_label(), "ke");
/// # Ok::<(), icomm_pki::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(Arc<str>);

text_traits!(MemberId);

impl MemberId {
    /// The longest id, in bytes.
    pub const LENGTH_MAX: usize = 32;

    /// The id as the DNS label that stands for it in certificates: `RILO-ESA` is `rilo-esa`.
    pub fn dns_label(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl FromStr for MemberId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let bytes = text.as_bytes();
        let valid = (2..=Self::LENGTH_MAX).contains(&bytes.len())
            && bytes.first().is_some_and(u8::is_ascii_uppercase)
            && bytes
                .iter()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'-')
            && bytes.last() != Some(&b'-');
        if valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName::Member(super::shortened(text)))
        }
    }
}
