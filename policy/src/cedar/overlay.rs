//! National law on top of agreements: Cedar policies that can only forbid, and always win.

use std::fmt;
use std::str::FromStr;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, ValidationMode};
use thiserror::Error;

use super::nesting::{NESTING_MAX, nesting};
use super::schema::{BrokenSchema, vocabulary};
use crate::agreement::shortened;

/// The most bytes of one national law.
pub const OVERLAY_BYTES_MAX: usize = 64 * 1024;
/// The most policies in one national law.
pub const OVERLAY_POLICIES_MAX: usize = 256;

/// Why a national law can't be used. The node does not start without it: a law that is left out does not forbid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidOverlay {
    /// The name can't stand in a policy's id.
    #[error("`{0}` is not a name for a national law: 1 to 64 small letters, digits and hyphens")]
    Name(String),
    /// More than [`OVERLAY_BYTES_MAX`].
    #[error("the national law `{name}` has {bytes} bytes, more than the {OVERLAY_BYTES_MAX} allowed")]
    TooLong {
        /// The law.
        name: String,
        /// Its size.
        bytes: usize,
    },
    /// More than [`OVERLAY_POLICIES_MAX`].
    #[error("the national law `{name}` has {count} policies, more than the {OVERLAY_POLICIES_MAX} allowed")]
    TooMany {
        /// The law.
        name: String,
        /// How many policies it has.
        count: usize,
    },
    /// More brackets within brackets than anybody reads.
    #[error("the national law `{name}` nests {depth} deep, more than the {NESTING_MAX} allowed")]
    TooDeep {
        /// The law.
        name: String,
        /// How deep.
        depth: usize,
    },
    /// Not Cedar.
    #[error("the national law `{name}` can't be read: {reason}")]
    Syntax {
        /// The law.
        name: String,
        /// What Cedar says.
        reason: String,
    },
    /// A policy that permits; only agreements can.
    #[error(
        "policy {policy} of the national law `{name}` permits; a national law can only forbid, so write an agreement"
    )]
    Permits {
        /// The law.
        name: String,
        /// Which policy, from 1.
        policy: usize,
    },
    /// A template, which needs somebody to fill it in.
    #[error("the national law `{name}` holds a template; write the policies out")]
    Template {
        /// The law.
        name: String,
    },
    /// No policy at all.
    #[error("the national law `{name}` forbids nothing; take it out or write its policies")]
    Empty {
        /// The law.
        name: String,
    },
    /// It does not fit the schema: an unknown attribute, a comparison of a text with a number.
    #[error("the national law `{name}` does not fit the record model: {reason}")]
    Schema {
        /// The law.
        name: String,
        /// What Cedar says.
        reason: String,
    },
    /// This program's own fault.
    #[error(transparent)]
    Broken(#[from] BrokenSchema),
}

/// A national law: at least one `forbid` policy, parsed and type-checked.
#[derive(Clone)]
pub struct Overlay {
    name: String,
    policies: Vec<Policy>,
}

impl Overlay {
    /// Parses and checks the law called `name`, in Cedar. An `@id("…")` on a policy names it in explanations.
    ///
    /// # Errors
    /// When anything in it is not a `forbid` policy that fits the schema.
    pub fn parse(name: &str, text: &str) -> Result<Self, InvalidOverlay> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !(1..=64).contains(&name.len()) || !name.bytes().all(allowed) {
            return Err(InvalidOverlay::Name(shortened(name)));
        }
        let name = name.to_owned();
        if text.len() > OVERLAY_BYTES_MAX {
            return Err(InvalidOverlay::TooLong {
                name,
                bytes: text.len(),
            });
        }
        let depth = nesting(text);
        if depth > NESTING_MAX {
            return Err(InvalidOverlay::TooDeep { name, depth });
        }
        let written = match PolicySet::from_str(text) {
            Ok(written) => written,
            Err(error) => {
                return Err(InvalidOverlay::Syntax {
                    name,
                    reason: error.to_string(),
                });
            }
        };
        if written.num_of_templates() > 0 {
            return Err(InvalidOverlay::Template { name });
        }
        let count = written.num_of_policies();
        if count == 0 {
            return Err(InvalidOverlay::Empty { name });
        }
        if count > OVERLAY_POLICIES_MAX {
            return Err(InvalidOverlay::TooMany { name, count });
        }
        // Cedar numbers the policies of a text `policy0`, `policy1` …
        let mut policies = Vec::with_capacity(count);
        for number in 0..count {
            let Some(policy) = written.policy(&PolicyId::new(format!("policy{number}"))) else {
                return Err(InvalidOverlay::Syntax {
                    name,
                    reason: format!("policy {} got lost", number + 1),
                });
            };
            if policy.effect() != Effect::Forbid {
                return Err(InvalidOverlay::Permits {
                    name,
                    policy: number + 1,
                });
            }
            let label = policy
                .annotation("id")
                .map_or_else(|| (number + 1).to_string(), shortened);
            policies.push(policy.new_id(PolicyId::new(format!("law:{name}/{label}"))));
        }
        let checked = match PolicySet::from_policies(policies.clone()) {
            Ok(policies) => vocabulary()?.validator.validate(&policies, ValidationMode::Strict),
            // Two policies with one `@id`.
            Err(error) => {
                return Err(InvalidOverlay::Syntax {
                    name,
                    reason: error.to_string(),
                });
            }
        };
        if let Some(error) = checked.validation_errors().next() {
            return Err(InvalidOverlay::Schema {
                name,
                reason: error.to_string(),
            });
        }
        Ok(Self { name, policies })
    }

    /// The law's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn policies(&self) -> &[Policy] {
        &self.policies
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Overlay(`{}`, {} policies)", self.name, self.policies.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_law_that_forbids_is_accepted() {
        let law = Overlay::parse(
            "ke-2026",
            r#"
            @id("no-partner") forbid (principal, action in Action::"nominal-sections", resource)
            when { principal.role == "partner" };
            forbid (principal, action == Action::"images", resource) unless { resource.handling == 0 };
            "#,
        )
        .unwrap();
        let ids: Vec<String> = law.policies().iter().map(|policy| policy.id().to_string()).collect();
        assert_eq!(ids, ["law:ke-2026/no-partner", "law:ke-2026/2"]);
    }

    #[test]
    fn anything_else_is_refused() {
        let parse = |text: &str| Overlay::parse("law", text).unwrap_err();
        assert!(matches!(
            parse("permit (principal, action, resource);"),
            InvalidOverlay::Permits { policy: 1, .. }
        ));
        assert!(matches!(
            parse("forbid (principal, action, resource); permit (principal, action, resource);"),
            InvalidOverlay::Permits { policy: 2, .. }
        ));
        assert!(matches!(parse(""), InvalidOverlay::Empty { .. }));
        assert!(matches!(parse("forbid"), InvalidOverlay::Syntax { .. }));
        assert!(matches!(
            parse("forbid (principal == ?principal, action, resource);"),
            InvalidOverlay::Template { .. }
        ));
        assert!(matches!(
            parse("forbid (principal, action, resource) when { resource.colour == 1 };"),
            InvalidOverlay::Schema { .. }
        ));
        assert!(matches!(
            parse(r#"forbid (principal, action == Action::"person", resource);"#),
            InvalidOverlay::Schema { .. }
        ));
        assert!(matches!(
            parse(r#"@id("a") forbid (principal, action, resource); @id("a") forbid (principal, action, resource);"#),
            InvalidOverlay::Syntax { .. }
        ));
        let many = "forbid (principal, action, resource);".repeat(OVERLAY_POLICIES_MAX + 1);
        assert!(matches!(parse(&many), InvalidOverlay::TooMany { .. }));
        assert!(matches!(
            parse(&" ".repeat(OVERLAY_BYTES_MAX + 1)),
            InvalidOverlay::TooLong { .. }
        ));
        let deep = format!(
            "forbid (principal, action, resource) when {{ {}true{} }};",
            "(".repeat(5000),
            ")".repeat(5000)
        );
        assert!(matches!(parse(&deep), InvalidOverlay::TooDeep { depth: 5001, .. }));
        assert!(matches!(Overlay::parse("Law", ""), Err(InvalidOverlay::Name(_))));
    }
}
