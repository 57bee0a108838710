//! A grant as a Cedar policy template: compiled once, when its agreement is ratified, and linked to each receiver.
//!
//! ```text
//!   permit (principal == ?principal, action in [Action::"case", Action::"exact"], resource)
//!   when { [Member::"KE"].contains(context.sender) }
//!   when { ["seizure"].contains(resource.kind) }
//!   when { !resource.categories.isEmpty() && ["drugs"].containsAll(resource.categories) }
//!   when { resource.handling <= 2 }
//!   when { if context has purpose then ["investigation"].contains(context.purpose) else true }
//!   when { … the grant's own condition };
//! ```
//!
//! Time is not among the conditions: windows in force are cut before policies are put together, so that every decision
//! knows until when it holds.

use cedar_policy::{PolicyId, PolicySet, SlotId, Template, ValidationMode};
use thiserror::Error;

use icomm_pki::MemberId;

use super::condition::{Condition, InvalidCondition};
use super::question::member_uid;
use super::schema::{BrokenSchema, action_name, vocabulary};
use crate::agreement::{Agreement, AgreementId, Categories, Grant, Side};

/// Which grant of which version of which agreement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct GrantRef {
    /// The agreement.
    pub agreement: AgreementId,
    /// Its version.
    pub version: u32,
    /// The grant's place in the document, from 0.
    pub grant: usize,
}

impl std::fmt::Display for GrantRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            agreement,
            version,
            grant,
        } = self;
        write!(f, "`{agreement}` version {version}, grant {grant}")
    }
}

/// Why a grant can't be turned into a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidGrant {
    /// Its condition can't be used.
    #[error(transparent)]
    Condition(#[from] InvalidCondition),
    /// The policy made of it is refused by Cedar; a fault of this program.
    #[error("no policy can be made of it: {0}")]
    Policy(String),
    /// This program's own fault.
    #[error(transparent)]
    Broken(#[from] BrokenSchema),
}

/// A grant, ready to be linked to a receiver.
#[derive(Clone, Debug)]
pub(crate) struct CompiledGrant {
    pub(crate) reference: GrantRef,
    pub(crate) terms: Grant,
    parties: Vec<MemberId>,
    template: Template,
}

impl CompiledGrant {
    /// Compiles the grant at `index` of `agreement`.
    pub(crate) fn compile(agreement: &Agreement, index: usize, terms: &Grant) -> Result<Self, InvalidGrant> {
        let reference = GrantRef {
            agreement: agreement.id().clone(),
            version: agreement.version(),
            grant: index,
        };
        let parties: Vec<MemberId> = agreement.parties().cloned().collect();
        let text = policy_text(terms, &parties)?;
        let id = PolicyId::new(format!("{}@{}#{index}", reference.agreement, reference.version));
        let template = Template::parse(Some(id), text).map_err(|error| InvalidGrant::Policy(error.to_string()))?;
        let mut alone = PolicySet::new();
        alone
            .add_template(template.clone())
            .map_err(|error| InvalidGrant::Policy(error.to_string()))?;
        let checked = vocabulary()?.validator.validate(&alone, ValidationMode::Strict);
        if let Some(error) = checked.validation_errors().next() {
            return Err(InvalidGrant::Policy(error.to_string()));
        }
        Ok(Self {
            reference,
            terms: terms.clone(),
            parties,
            template,
        })
    }

    /// Whether it is about what `from` may send to `to`.
    pub(crate) fn concerns(&self, from: &MemberId, to: &MemberId) -> bool {
        let is = |side: &Side, member: &MemberId| match side {
            Side::Member(named) => named == member,
            Side::Parties => self.parties.contains(member),
        };
        from != to && is(&self.terms.from, from) && is(&self.terms.to, to)
    }

    /// Adds the policy for `receiver` to `policies`; answers with its id there.
    pub(crate) fn link(&self, receiver: &MemberId, policies: &mut PolicySet) -> Result<PolicyId, InvalidGrant> {
        let refused = |error: cedar_policy::PolicySetError| InvalidGrant::Policy(error.to_string());
        policies.add_template(self.template.clone()).map_err(refused)?;
        let id = PolicyId::new(format!("{}>{receiver}", self.template.id()));
        let values = [(SlotId::principal(), member_uid(receiver))].into();
        policies
            .link(self.template.id().clone(), id.clone(), values)
            .map_err(refused)?;
        Ok(id)
    }
}

fn policy_text(grant: &Grant, parties: &[MemberId]) -> Result<String, InvalidGrant> {
    let actions = list(
        grant
            .sections
            .iter()
            .map(|section| format!("Action::{}", quoted(action_name(section)))),
    );
    let senders = list(match &grant.from {
        Side::Member(member) => vec![member_uid(member).to_string()],
        Side::Parties => parties.iter().map(|party| member_uid(party).to_string()).collect(),
    });
    let mut clauses = vec![
        format!("{senders}.contains(context.sender)"),
        format!(
            "{}.contains(resource.kind)",
            list(grant.kinds.iter().map(|kind| quoted(kind.name())))
        ),
    ];
    if let Categories::Only(codes) = &grant.categories {
        let codes = list(codes.iter().map(|code| quoted(code)));
        clauses.push(format!(
            "!resource.categories.isEmpty() && {codes}.containsAll(resource.categories)"
        ));
    }
    clauses.push(format!("resource.handling <= {}", grant.handling.level()));
    let purposes = list(grant.purposes.iter().map(|purpose| quoted(purpose.as_str())));
    clauses.push(format!(
        "if context has purpose then {purposes}.contains(context.purpose) else true"
    ));
    let mut text = format!("permit (principal == ?principal, action in {actions}, resource)");
    for clause in clauses {
        text.push_str(&format!("\nwhen {{ {clause} }}"));
    }
    if let Some(condition) = &grant.condition {
        text.push('\n');
        text.push_str(&Condition::parse(condition)?.clause());
    }
    text.push(';');
    Ok(text)
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// A Cedar string. All that comes here was checked to be letters, digits and hyphens; escaping costs nothing.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.escape_default())
}
