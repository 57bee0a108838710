//! Who takes part in a demo, and what they have agreed: every pair of administrations, every region, the way up.

use std::collections::BTreeSet;

use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::Day;

use super::offices;
use crate::network::{
    Basis, Member, NetworkError, Plan, Reach,
    terms::{self, Exchange},
};

/// The most administrations of a demo: every two of them have an agreement, and every one is a process.
pub(super) const ADMINISTRATIONS_MAX: usize = 16;

const TRUST_DOMAIN: &str = "demo.icomm.example";
const ROOT: &str = "WCO";

/// The plan of a demo between these administrations, under agreements in force since `since`.
pub(super) fn plan(administrations: &[MemberId], since: Day) -> Result<Plan, NetworkError> {
    let wrong = |what: String| NetworkError::Plan(what);
    let unique: BTreeSet<&MemberId> = administrations.iter().collect();
    if unique.len() != administrations.len() {
        return Err(wrong("an administration is named twice".to_owned()));
    }
    if !(2..=ADMINISTRATIONS_MAX).contains(&administrations.len()) {
        return Err(wrong(format!(
            "an exchange takes 2 to {ADMINISTRATIONS_MAX} administrations, not {}",
            administrations.len()
        )));
    }
    let root: MemberId = ROOT.parse().map_err(|error| wrong(format!("{error}")))?;
    let mut members = Vec::new();
    let mut offices: BTreeSet<MemberId> = BTreeSet::new();
    for administration in administrations {
        if *administration == root || administration.as_str().starts_with("RILO") {
            return Err(wrong(format!("`{administration}` is no administration")));
        }
        // One office is enough to show; a member of two regions is shown in the first.
        let regions: Vec<_> = offices::of(administration).into_iter().take(1).collect();
        offices.extend(regions.iter().map(|region| region.office.clone()));
        members.push(member(administration, Role::National, regions));
    }
    let mut agreements = Vec::new();
    for (position, a) in administrations.iter().enumerate() {
        for b in administrations.iter().skip(position + 1) {
            agreements.push(terms::bilateral(a, b, Exchange::nominal(), Exchange::nominal(), since)?);
        }
    }
    for office in &offices {
        let region: Vec<MemberId> = members
            .iter()
            .filter(|member| member.regions.iter().any(|region| region.office == *office))
            .map(|member| member.id.clone())
            .collect();
        agreements.push(terms::regional(office, &region, since)?);
        agreements.push(terms::upstream(office, &root, since)?);
    }
    for alone in members.iter().filter(|member| member.regions.is_empty()) {
        agreements.push(terms::upstream(&alone.id, &root, since)?);
    }
    members.extend(offices.iter().map(|office| member(office, Role::Regional, Vec::new())));
    members.push(member(&root, Role::Global, Vec::new()));
    Ok(Plan {
        trust_domain: TRUST_DOMAIN.parse().map_err(|error| wrong(format!("{error}")))?,
        members,
        agreements,
    })
}

/// What a person should know about the cast before the curtain rises, a line each.
pub(super) fn introduction(plan: &Plan) -> Vec<String> {
    let administrations = plan.members.iter().filter(|member| member.role == Role::National);
    administrations
        .map(|member| match member.regions.first() {
            None => format!(
                "{}: its liaison office is not known here, so it reports to the WCO directly",
                member.id
            ),
            Some(region) => match region.basis {
                Basis::Listed => format!("{}: in the region of {}", member.id, region.office),
                Basis::Inferred => {
                    format!(
                        "{}: in the region of {} (inferred: no public list names it)",
                        member.id, region.office
                    )
                }
            },
        })
        .collect()
}

fn member(id: &MemberId, role: Role, regions: Vec<crate::network::Region>) -> Member {
    Member {
        id: id.clone(),
        role,
        regions,
        reach: Reach::Tls,
    }
}

#[cfg(test)]
mod tests {
    use super::{introduction, plan};
    use crate::network::Plan;

    fn plan_of(members: &str) -> Result<Plan, String> {
        let members: Vec<_> = members.split(',').map(|id| id.parse().unwrap()).collect();
        plan(&members, "2026-01-01".parse().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn two_neighbours_share_an_office() {
        let plan = plan_of("ES,PT").unwrap();
        plan.check().unwrap();
        let members: Vec<_> = plan.members.iter().map(|member| member.id.as_str()).collect();
        assert_eq!(members, ["ES", "PT", "RILO-WE", "WCO"]);
        let agreements: Vec<_> = plan
            .agreements
            .iter()
            .map(|agreement| agreement.id().as_str())
            .collect();
        assert_eq!(agreements, ["es-pt", "rilo-we", "rilo-we-wco"]);
        assert!(introduction(&plan)[0].contains("inferred"));
    }

    #[test]
    fn others_have_two_offices_or_none() {
        let plan = plan_of("KE,PK,US").unwrap();
        plan.check().unwrap();
        assert_eq!(plan.members.len(), 6);
        assert_eq!(plan.agreements.len(), 3 + 2 + 2 + 1);
        assert!(introduction(&plan)[2].contains("directly"));
    }

    #[test]
    fn a_wrong_cast_is_refused() {
        for (members, says) in [
            ("ES", "2 to 16"),
            ("ES,ES", "twice"),
            ("ES,WCO", "no administration"),
            ("ES,RILO-WE", "no administration"),
        ] {
            let error = plan_of(members).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
