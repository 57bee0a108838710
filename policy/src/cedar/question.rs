//! One evaluation: may this receiver have these sections of a record of this class?

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet,
    Request, RestrictedExpression,
};
use thiserror::Error;

use icomm_pki::{MemberId, Role};
use icomm_proto::SectionKind;

use super::schema::{BrokenSchema, Vocabulary, action_name, vocabulary};
use crate::agreement::Purpose;
use crate::class::Class;

/// Why an evaluation gave no answer; the record is withheld.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvaluationError {
    /// A policy erred. Cedar would skip it; we refuse, because it might have forbidden.
    #[error("policy `{policy}` can't be evaluated for this record: {reason}")]
    Policy {
        /// The policy's id.
        policy: String,
        /// What Cedar says.
        reason: String,
    },
    /// The question does not fit the schema; a fault of this program.
    #[error("the question to the policies can't be put: {0}")]
    Question(String),
    /// This program's own fault.
    #[error(transparent)]
    Broken(#[from] BrokenSchema),
}

/// What policies are told about a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemberFacts {
    pub(crate) member: MemberId,
    pub(crate) role: Role,
    pub(crate) regions: Vec<MemberId>,
}

/// What the policies say about one section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These policies permit it and none forbids it.
    Permitted(Vec<PolicyId>),
    /// These policies forbid it.
    Forbidden(Vec<PolicyId>),
    /// No policy permits it.
    Uncovered,
}

/// A question about one class, for any of the sections: entities are built once.
pub(crate) struct Question {
    vocabulary: &'static Vocabulary,
    entities: Entities,
    principal: EntityUid,
    resource: EntityUid,
    context: Context,
}

/// The entity of a member.
pub(crate) fn member_uid(member: &MemberId) -> EntityUid {
    uid("Member", member.as_str())
}

fn uid(kind: &'static str, id: &str) -> EntityUid {
    // The two type names are fixed identifiers of this file, so parsing can't fail; a test says so.
    #[expect(clippy::expect_used, reason = "a constant identifier")]
    let name: EntityTypeName = kind.parse().expect("`Member`, `Record` and `Action` are identifiers");
    EntityUid::from_type_name_and_id(name, EntityId::new(id))
}

impl Question {
    /// May `receiver` have a record of `class` from `sender`?
    pub(crate) fn new(
        class: &Class,
        sender: &MemberFacts,
        receiver: &MemberFacts,
        purpose: Option<Purpose>,
    ) -> Result<Self, EvaluationError> {
        let vocabulary = vocabulary()?;
        let refused = |error: &dyn std::error::Error| EvaluationError::Question(error.to_string());
        let principal = member_uid(&receiver.member);
        let resource = uid("Record", "this");
        let mut entities = vec![record_entity(class, resource.clone())?, member_entity(receiver)?];
        if sender.member != receiver.member {
            entities.push(member_entity(sender)?);
        }
        let entities = Entities::from_entities(entities, Some(&vocabulary.schema)).map_err(|error| refused(&error))?;
        let mut pairs = vec![
            (
                "sender".to_owned(),
                RestrictedExpression::new_entity_uid(member_uid(&sender.member)),
            ),
            (
                "onward".to_owned(),
                RestrictedExpression::new_bool(sender.member != class.originator),
            ),
        ];
        if let Some(purpose) = purpose {
            pairs.push(("purpose".to_owned(), text(purpose.as_str())));
        }
        let context = Context::from_pairs(pairs).map_err(|error| refused(&error))?;
        Ok(Self {
            vocabulary,
            entities,
            principal,
            resource,
            context,
        })
    }

    /// What `policies` say about `section`.
    pub(crate) fn ask(&self, section: SectionKind, policies: &PolicySet) -> Result<Answer, EvaluationError> {
        let action = uid("Action", action_name(section));
        let (principal, resource, context) = (self.principal.clone(), self.resource.clone(), self.context.clone());
        let request = Request::new(principal, action, resource, context, Some(&self.vocabulary.schema))
            .map_err(|error| EvaluationError::Question(error.to_string()))?;
        let response = Authorizer::new().is_authorized(&request, policies, &self.entities);
        if let Some(error) = response.diagnostics().errors().next() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            let policy = error.policy_id().to_string();
            return Err(EvaluationError::Policy {
                policy,
                reason: error.inner().to_string(),
            });
        }
        let mut reasons: Vec<PolicyId> = response.diagnostics().reason().cloned().collect();
        reasons.sort();
        Ok(match response.decision() {
            Decision::Allow => Answer::Permitted(reasons),
            Decision::Deny if reasons.is_empty() => Answer::Uncovered,
            Decision::Deny => Answer::Forbidden(reasons),
        })
    }
}

fn record_entity(class: &Class, uid: EntityUid) -> Result<Entity, EvaluationError> {
    let Class {
        kind,
        originator,
        report_type,
        handling,
        categories,
        seizure_country,
        operation_id,
    } = class;
    let categories = RestrictedExpression::new_set(categories.iter().map(|code| text(code)));
    let attributes = HashMap::from([
        ("kind".to_owned(), text(kind.name())),
        ("originator".to_owned(), text(originator.as_str())),
        ("report_type".to_owned(), text(report_type)),
        ("handling_code".to_owned(), text(handling.as_str())),
        ("handling".to_owned(), RestrictedExpression::new_long(handling.level())),
        ("categories".to_owned(), categories),
        ("seizure_country".to_owned(), text(seizure_country)),
        ("operation_id".to_owned(), text(operation_id)),
    ]);
    entity(uid, attributes)
}

fn member_entity(facts: &MemberFacts) -> Result<Entity, EvaluationError> {
    let regions = RestrictedExpression::new_set(facts.regions.iter().map(|region| text(region.as_str())));
    let attributes = HashMap::from([
        ("role".to_owned(), text(facts.role.as_str())),
        ("regions".to_owned(), regions),
    ]);
    entity(member_uid(&facts.member), attributes)
}

fn entity(uid: EntityUid, attributes: HashMap<String, RestrictedExpression>) -> Result<Entity, EvaluationError> {
    Entity::new(uid, attributes, HashSet::new()).map_err(|error| EvaluationError::Question(error.to_string()))
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// The rule of upstream as a policy: the global node may have the open section. It stands beside national laws, which win.
pub(crate) fn upstream_policy(receiver: &MemberId) -> Result<Policy, String> {
    let text = format!(
        "permit (principal == {}, action in Action::\"open-sections\", resource) when {{ principal.role == \"global\" }};",
        member_uid(receiver)
    );
    Policy::parse(Some(PolicyId::new("upstream")), text).map_err(|error| error.to_string())
}
