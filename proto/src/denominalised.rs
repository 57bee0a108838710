//! The form in which a record may reach the global node: the open section, nothing else.

use thiserror::Error;

use crate::section::SectionSet;
use crate::view::{ForeignField, Tampered, View, check_fields};

/// A verified view that holds the open section only.
///
/// What goes upstream is made of these. The type has no place for another section, whatever the code around it does, and
/// none for a field of the open section that is not in `record.proto`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denominalised(View);

/// A view that is not de-nominalised.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotDenominalised {
    /// It holds sections that must not go upstream.
    #[error("view holds section `{0}`, which is not open")]
    Closed(SectionSet),
    /// It lacks the open section, so there is nothing to send.
    #[error("view does not hold the open section")]
    Missing,
    /// The open section is not what its originator committed to.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// The open section holds a field that this version has no place for, so nobody can say what it tells.
    #[error(transparent)]
    Foreign(#[from] ForeignField),
}

impl Denominalised {
    /// What remains of `view` when all but the open section is left out. Verifies that section.
    pub fn of(view: &View) -> Result<Self, NotDenominalised> {
        Self::try_from(view.redact(SectionSet::open()))
    }

    /// The view, of the open section only.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.0
    }

    /// The view, by value.
    #[must_use]
    pub fn into_view(self) -> View {
        self.0
    }
}

impl TryFrom<View> for Denominalised {
    type Error = NotDenominalised;

    fn try_from(view: View) -> Result<Self, NotDenominalised> {
        let open = SectionSet::open();
        let closed = view.sections().difference(open);
        if !closed.is_empty() {
            return Err(NotDenominalised::Closed(closed));
        }
        if view.sections() != open {
            return Err(NotDenominalised::Missing);
        }
        for kind in open.iter() {
            check_fields(kind, view.section(kind).unwrap_or_default())?;
        }
        Ok(Self(view.verify()?.into_view()))
    }
}
