//! What a network shall be: its members, their offices and their agreements, as plain data.

use std::collections::BTreeSet;

use icomm_pki::{MemberId, Role, TrustDomain};
use icomm_policy::agreement::Agreement;

use super::NetworkError;

/// The most members of one network on one machine: those that are started are a process each.
pub const MEMBERS_MAX: usize = 256;

/// A network to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The network's name in certificates and log origins.
    pub trust_domain: TrustDomain,
    /// Who takes part: exactly one of them is global, and runs the root authority.
    pub members: Vec<Member>,
    /// What they have agreed, to be signed by every party.
    pub agreements: Vec<Agreement>,
}

/// One member, with one node.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Its role.
    pub role: Role,
    /// The liaison offices whose region it belongs to. The first one's authority certifies it; the root does where there
    /// is none.
    pub regions: Vec<Region>,
    /// How its partners reach it.
    pub reach: Reach,
}

/// A member's place in a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// The liaison office.
    pub office: MemberId,
    /// How we know.
    pub basis: Basis,
}

/// How it is known that a member belongs to a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// A public source lists it.
    Listed,
    /// Guessed from geography: no public list was found.
    Inferred,
}

/// Where a node listens for its partners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reach {
    /// TCP with mutual TLS.
    #[default]
    Tls,
    /// libp2p over QUIC.
    Quic,
    /// libp2p over TCP with Noise and yamux.
    Noise,
    /// Nowhere: it dials out only, as from behind a firewall.
    Nowhere,
}

impl Plan {
    /// The global member.
    pub fn root(&self) -> Option<&Member> {
        self.members.iter().find(|member| member.role == Role::Global)
    }

    /// A member by its id.
    pub fn member(&self, id: &MemberId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }

    /// The members of an office's region.
    pub fn region<'a>(&'a self, office: &'a MemberId) -> impl Iterator<Item = &'a Member> {
        self.members
            .iter()
            .filter(move |member| member.regions.iter().any(|region| region.office == *office))
    }

    /// What is wrong with the plan, before anything is made.
    ///
    /// # Errors
    /// A member named twice, none or two global members, an office that does not take part or is none, a party that
    /// does not take part, too many members.
    pub fn check(&self) -> Result<(), NetworkError> {
        let wrong = |what: String| Err(NetworkError::Plan(what));
        if self.members.len() > MEMBERS_MAX {
            return wrong(format!(
                "it has {} members, more than the {MEMBERS_MAX} that one machine is asked to run",
                self.members.len()
            ));
        }
        let mut seen = BTreeSet::new();
        for member in &self.members {
            if !seen.insert(&member.id) {
                return wrong(format!("`{}` is named twice", member.id));
            }
        }
        match self.members.iter().filter(|member| member.role == Role::Global).count() {
            1 => {}
            globals => return wrong(format!("it has {globals} global members; it needs exactly one")),
        }
        for member in &self.members {
            for Region { office, .. } in &member.regions {
                if self.member(office).is_none_or(|office| office.role != Role::Regional) {
                    return wrong(format!(
                        "`{}` belongs to `{office}`, which is no office of it",
                        member.id
                    ));
                }
            }
        }
        for agreement in &self.agreements {
            if let Some(stranger) = agreement.parties().find(|party| !seen.contains(party)) {
                return wrong(format!(
                    "`{stranger}` is a party to `{}` and takes no part",
                    agreement.id()
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Basis, Member, Plan, Reach, Region, Role};

    fn member(id: &str, role: Role, office: Option<&str>) -> Member {
        Member {
            id: id.parse().unwrap(),
            role,
            regions: office
                .map(|office| Region {
                    office: office.parse().unwrap(),
                    basis: Basis::Listed,
                })
                .into_iter()
                .collect(),
            reach: Reach::Tls,
        }
    }

    fn plan(members: Vec<Member>) -> Plan {
        Plan {
            trust_domain: "demo.icomm.example".parse().unwrap(),
            members,
            agreements: Vec::new(),
        }
    }

    #[test]
    fn a_region_has_its_members() {
        let plan = plan(vec![
            member("KE", Role::National, Some("RILO-ESA")),
            member("UG", Role::National, Some("RILO-ESA")),
            member("ES", Role::National, None),
            member("RILO-ESA", Role::Regional, None),
            member("WCO", Role::Global, None),
        ]);
        plan.check().unwrap();
        let office = "RILO-ESA".parse().unwrap();
        let region: Vec<_> = plan.region(&office).map(|member| member.id.as_str()).collect();
        assert_eq!(region, ["KE", "UG"]);
        assert_eq!(plan.root().unwrap().id.as_str(), "WCO");
    }

    #[test]
    fn a_wrong_plan_says_what_is_wrong() {
        let wco = || member("WCO", Role::Global, None);
        let ke = || member("KE", Role::National, None);
        for (members, says) in [
            (vec![ke()], "0 global members"),
            (vec![wco(), member("WCO2", Role::Global, None)], "2 global members"),
            (vec![wco(), ke(), ke()], "`KE` is named twice"),
            (
                vec![wco(), member("UG", Role::National, Some("RILO-ESA"))],
                "no office of it",
            ),
            (
                vec![wco(), ke(), member("UG", Role::National, Some("KE"))],
                "no office of it",
            ),
        ] {
            let error = plan(members).check().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
