//! The further condition of a grant: a Cedar expression that can only narrow what the grant gives.

use std::str::FromStr;

use cedar_policy::{Expression, Policy, PolicySet, ValidationMode};
use thiserror::Error;

use super::nesting::{NESTING_MAX, nesting};
use super::schema::{BrokenSchema, vocabulary};

/// The most bytes of a condition.
pub const CONDITION_BYTES_MAX: usize = 1024;

/// Why a condition can't be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidCondition {
    /// More than [`CONDITION_BYTES_MAX`].
    #[error("the condition has {0} bytes, more than the {CONDITION_BYTES_MAX} allowed")]
    TooLong(usize),
    /// More brackets within brackets than anybody reads.
    #[error("the condition nests {0} deep, more than the {NESTING_MAX} allowed")]
    TooDeep(usize),
    /// Not one Cedar expression.
    #[error("the condition is not a Cedar expression: {0}")]
    Syntax(String),
    /// An expression that does not fit the schema: an unknown attribute, a comparison of a text with a number.
    #[error("the condition does not fit the record model: {0}")]
    Schema(String),
    /// This program's own fault.
    #[error(transparent)]
    Broken(#[from] BrokenSchema),
}

/// A condition that was parsed and type-checked against the schema.
#[derive(Clone, Debug)]
pub(crate) struct Condition(String);

impl Condition {
    /// Parses and type-checks `text`.
    pub(crate) fn parse(text: &str) -> Result<Self, InvalidCondition> {
        if text.len() > CONDITION_BYTES_MAX {
            return Err(InvalidCondition::TooLong(text.len()));
        }
        let deep = nesting(text);
        if deep > NESTING_MAX {
            return Err(InvalidCondition::TooDeep(deep));
        }
        // The text is parsed as an expression of its own before it stands in a policy: what would close the clause and open
        // another policy is no expression.
        Expression::from_str(text).map_err(|error| InvalidCondition::Syntax(error.to_string()))?;
        let condition = Self(text.to_owned());
        let policy = Policy::parse(
            None,
            format!("permit (principal, action, resource)\n{};", condition.clause()),
        )
        .map_err(|error| InvalidCondition::Syntax(error.to_string()))?;
        let policies =
            PolicySet::from_policies([policy]).map_err(|error| InvalidCondition::Syntax(error.to_string()))?;
        let checked = vocabulary()?.validator.validate(&policies, ValidationMode::Strict);
        match checked.validation_errors().next() {
            Some(error) => Err(InvalidCondition::Schema(error.to_string())),
            None => Ok(condition),
        }
    }

    /// The condition as a clause of a policy.
    pub(crate) fn clause(&self) -> String {
        // On a line of its own, because it may end in a comment.
        format!("when {{ {}\n}}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_over_the_record_model_are_accepted() {
        for text in [
            r#"resource.report_type == "seizure""#,
            r#"principal.regions.contains("RILO-ESA") && resource.handling < 2"#,
            r#"resource.seizure_country like "K*" // Kenya"#,
            r#"if context has purpose then context.purpose == "statistics" else true"#,
            r#"action in Action::"open-sections""#,
        ] {
            assert!(Condition::parse(text).is_ok(), "{text}: {:?}", Condition::parse(text));
        }
    }

    #[test]
    fn what_is_not_an_expression_over_the_record_model_is_refused() {
        for text in [
            "",
            "resource.handling <",
            "true } unless { false",
            "true }; permit (principal, action, resource) when { true",
            "true); permit (principal, action, resource",
            "true // }\n}; permit (principal, action, resource) when { true",
            "\"",
        ] {
            assert!(
                matches!(Condition::parse(text), Err(InvalidCondition::Syntax(_))),
                "{text}"
            );
        }
        for text in [
            "resource.colour == \"red\"",
            "resource.handling == \"H1\"",
            "resource.handling",
            "principal.secret",
            "Stranger::\"x\" == principal",
            "context.purpose == \"statistics\"",
        ] {
            assert!(
                matches!(Condition::parse(text), Err(InvalidCondition::Schema(_))),
                "{text}"
            );
        }
        let long = format!("\"{}\" == resource.kind", "a".repeat(CONDITION_BYTES_MAX));
        assert!(matches!(Condition::parse(&long), Err(InvalidCondition::TooLong(_))));
    }
    #[test]
    fn deep_nesting_is_refused_or_read_but_never_overflows_the_stack() {
        let too_deep = format!("{}true{}", "(".repeat(33), ")".repeat(33));
        assert_eq!(Condition::parse(&too_deep).unwrap_err(), InvalidCondition::TooDeep(33));
        assert!(Condition::parse(&too_deep[1..too_deep.len() - 1]).is_ok());
        for (open, middle, close) in [
            ("(", "true", ")"),
            ("!", "true", ""),
            ("-", "1", ""),
            ("[", "1", "]"),
            ("{a:", "1", "}"),
            ("if true then ", "true", " else true"),
            ("true && (", "true", ")"),
            ("", "resource", ".kind"),
            ("resource.categories.contains(", "true", ")"),
        ] {
            let times = (CONDITION_BYTES_MAX - middle.len()) / (open.len() + close.len());
            let text = format!("{}{middle}{}", open.repeat(times), close.repeat(times));
            // What comes out does not matter here: that it comes out does.
            let _ = Condition::parse(&text);
        }
    }
}
