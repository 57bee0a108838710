//! Who holds what: every node's own log and its replicas of the others', as counted and verified by the nodes themselves.
//!
//! ```text
//! {"nodes": [{"member": "ES", "role": "national", "issued": 3, "log_size": 3, "root": "64 hex digits",
//!             "replicas": [{"origin": "PT/main", "entries": 2, "disclosed": 1, "denominalised": 0, "withheld": 1,
//!                           "verified": true, "agreements": ["es-pt@1"]}]}]}
//! ```

use std::fmt;

use data_encoding::HEXLOWER;
use icomm_pki::{MemberId, Role};
use icomm_proto::v1;
use serde::Serialize;

/// The SHA-256 of nothing: the root of a log without entries (RFC 6962, section 2.1).
const EMPTY_ROOT: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// The whole network at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// The nodes, in the order of the plan.
    pub nodes: Vec<NodePicture>,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NodePicture {
    /// Whose node it is.
    pub member: MemberId,
    /// Its role.
    #[serde(serialize_with = "as_text")]
    pub role: Role,
    /// How many records it has issued.
    pub issued: u64,
    /// How many entries its own log has.
    pub log_size: u64,
    /// The Merkle root of its own log, 64 hexadecimal digits.
    pub root: String,
    /// Whether its own log verifies against its own checkpoint.
    #[serde(skip)]
    pub verified: bool,
    /// What it holds of the other members' logs.
    pub replicas: Vec<Replica>,
}

/// What a node holds of one other member's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Replica {
    /// The log: `KE/main`.
    pub origin: String,
    /// Its entries here.
    pub entries: u64,
    /// Those with more than the open section.
    pub disclosed: u64,
    /// Those with the open section only.
    pub denominalised: u64,
    /// Those known by their hash only.
    pub withheld: u64,
    /// Whether all of them hash to the root that the originator signed.
    pub verified: bool,
    /// Under which agreements it comes here: `es-pt@1`.
    pub agreements: Vec<String>,
}

/// One thing that does not add up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discrepancy {
    /// Where: `PT's replica of ES/main`.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl NodePicture {
    /// A node's picture from the logs that it reports; `issued` is what was handed in there and accepted.
    pub(super) fn new(member: MemberId, role: Role, issued: u64, logs: Vec<v1::LogStatus>) -> Self {
        let (own, others): (Vec<_>, Vec<_>) = logs.into_iter().partition(|log| log.own);
        let mut picture = Self {
            member,
            role,
            issued,
            log_size: 0,
            root: EMPTY_ROOT.to_owned(),
            verified: true,
            replicas: others.into_iter().map(Replica::from).collect(),
        };
        // A member that has issued nothing may have no log yet.
        if let Some(own) = own.into_iter().next() {
            picture.log_size = own.entries;
            picture.verified = own.verified || own.entries == 0;
            if own.entries > 0 {
                picture.root = HEXLOWER.encode(&own.root);
            }
        }
        picture.replicas.sort_by(|a, b| a.origin.cmp(&b.origin));
        picture
    }

    /// The replica of one log.
    pub fn replica(&self, origin: &str) -> Option<&Replica> {
        self.replicas.iter().find(|replica| replica.origin == origin)
    }
}

impl From<v1::LogStatus> for Replica {
    fn from(log: v1::LogStatus) -> Self {
        let v1::LogStatus {
            origin,
            own: _,
            entries,
            disclosed,
            denominalised,
            withheld,
            verified,
            root: _,
            checkpoint: _,
            agreements,
            forked: _,
            settled: _,
            cosignatures: _,
            quorum: _,
            settled_checkpoint: _,
            waits_for: _,
        } = log;
        Self {
            origin,
            entries,
            disclosed,
            denominalised,
            withheld,
            verified,
            agreements,
        }
    }
}

impl Picture {
    /// One node.
    pub fn node(&self, member: &MemberId) -> Option<&NodePicture> {
        self.nodes.iter().find(|node| node.member == *member)
    }

    /// Everything that does not verify or add up; empty when all is well.
    pub fn discrepancies(&self) -> Vec<Discrepancy> {
        let mut found = Vec::new();
        for node in &self.nodes {
            let mut wrong = |place: String, what: String| found.push(Discrepancy { place, what });
            if !node.verified {
                wrong(format!("{}'s own log", node.member), "does not verify".to_owned());
            }
            if node.issued != node.log_size {
                wrong(
                    format!("{}'s own log", node.member),
                    format!("has {} entries, but {} records were issued", node.log_size, node.issued),
                );
            }
            for replica in &node.replicas {
                let place = || format!("{}'s replica of {}", node.member, replica.origin);
                if !replica.verified {
                    wrong(place(), "does not verify".to_owned());
                }
                let sum = replica.disclosed + replica.denominalised + replica.withheld;
                if sum != replica.entries {
                    wrong(
                        place(),
                        format!("has {} entries, of which {sum} are accounted for", replica.entries),
                    );
                }
                match self.size_of(&replica.origin) {
                    Some(size) if size == replica.entries => {}
                    Some(size) => wrong(place(), format!("has {} of {size} entries", replica.entries)),
                    None => wrong(place(), "is of a log that nobody here owns".to_owned()),
                }
            }
        }
        found.extend(self.missing_at_the_root());
        found
    }

    /// The global node must hold every record of everybody, and of each the open section only.
    fn missing_at_the_root(&self) -> Vec<Discrepancy> {
        let Some(root) = self.nodes.iter().find(|node| node.role == Role::Global) else {
            return Vec::new();
        };
        let owners = self
            .nodes
            .iter()
            .filter(|node| node.log_size > 0 && node.member != root.member);
        owners
            .filter_map(|owner| {
                let prefix = format!("{}/", owner.member);
                let held: u64 = root
                    .replicas
                    .iter()
                    .filter(|replica| replica.origin.starts_with(&prefix))
                    .map(|replica| replica.denominalised)
                    .sum();
                (held != owner.issued).then(|| Discrepancy {
                    place: format!("{}'s replica of {}", root.member, owner.member),
                    what: format!("has {held} of {} issued records, de-nominalised", owner.issued),
                })
            })
            .collect()
    }

    /// The size of a log as its owner says.
    fn size_of(&self, origin: &str) -> Option<u64> {
        let (member, _) = origin.split_once('/')?;
        self.nodes
            .iter()
            .find(|node| node.member.as_str() == member)
            .map(|node| node.log_size)
    }
}

impl fmt::Display for Discrepancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.place, self.what)
    }
}

fn as_text<T: fmt::Display, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[cfg(test)]
mod tests {
    use icomm_proto::v1::LogStatus;

    use super::{EMPTY_ROOT, NodePicture, Picture, Role};

    fn log(origin: &str, own: bool, counts: [u64; 4]) -> LogStatus {
        let [entries, disclosed, denominalised, withheld] = counts;
        LogStatus {
            origin: origin.to_owned(),
            own,
            entries,
            disclosed,
            denominalised,
            withheld,
            verified: true,
            root: vec![7; 32].into(),
            ..LogStatus::default()
        }
    }

    fn node(member: &str, role: Role, issued: u64, logs: Vec<LogStatus>) -> NodePicture {
        NodePicture::new(member.parse().unwrap(), role, issued, logs)
    }

    fn sound() -> Picture {
        let nodes = vec![
            node("ES", Role::National, 3, vec![log("ES/main", true, [3, 3, 0, 0])]),
            node("PT", Role::National, 0, vec![log("ES/main", false, [3, 1, 1, 1])]),
            node("WCO", Role::Global, 0, vec![log("ES/main", false, [3, 0, 3, 0])]),
        ];
        Picture { nodes }
    }

    #[test]
    fn a_sound_picture_has_no_discrepancy() {
        let picture = sound();
        assert_eq!(picture.discrepancies(), []);
        assert_eq!(picture.nodes[0].root, "07".repeat(32));
        assert_eq!(picture.nodes[1].root, EMPTY_ROOT);
        let json = serde_json::to_value(&picture).unwrap();
        assert_eq!(json["nodes"][1]["replicas"][0]["origin"], "ES/main");
        assert_eq!(json["nodes"][2]["role"], "global");
        assert!(json["nodes"][0].get("verified").is_none());
    }

    #[test]
    fn each_discrepancy_is_named() {
        type Damage = fn(&mut Picture);
        let cases: [(Damage, &str); 7] = [
            (
                |p| p.nodes[1].replicas[0].verified = false,
                "PT's replica of ES/main does not verify",
            ),
            (
                |p| p.nodes[1].replicas[0].withheld = 0,
                "3 entries, of which 2 are accounted for",
            ),
            (|p| p.nodes[1].replicas[0].entries = 2, "has 2 of 3 entries"),
            (
                |p| p.nodes[1].replicas[0].origin = "XX/main".to_owned(),
                "nobody here owns",
            ),
            (|p| p.nodes[0].issued = 4, "has 3 entries, but 4 records were issued"),
            (|p| p.nodes[0].verified = false, "ES's own log does not verify"),
            (
                |p| p.nodes[2].replicas.clear(),
                "WCO's replica of ES has 0 of 3 issued records",
            ),
        ];
        for (damage, says) in cases {
            let mut picture = sound();
            damage(&mut picture);
            let found = picture.discrepancies();
            assert!(
                found.iter().any(|discrepancy| discrepancy.to_string().contains(says)),
                "{says}: {found:?}"
            );
        }
    }
}
