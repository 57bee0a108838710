//! What everybody should hold once all that may travel has arrived, and what is missing of it.
//!
//! Nothing is computed here that the nodes compute themselves: each originator, and each office that passes its records on,
//! is asked what it would send of one record of every class (`Explain`), and the answer is multiplied by the number of such
//! records. What the receivers then count must agree with what the senders say: a sync that calls itself done with nothing
//! arrived would be found out here.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use icomm_pki::{MemberId, Role};
use icomm_proto::{SectionSet, v1};
use prost::Message;

use super::{Network, NetworkError, Node};

/// Entries of a log by how much of them somebody sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub entries: u64,
    /// With more than the open section.
    pub disclosed: u64,
    /// With the open section only.
    pub denominalised: u64,
    /// By their hash only.
    pub withheld: u64,
}

/// A replica that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Who holds it.
    pub holder: MemberId,
    /// The log.
    pub origin: String,
    /// What its senders say it should be.
    pub expected: Counts,
    /// What its holder counts.
    pub found: Counts,
}

/// The records of one log that everybody decides on alike.
struct Group {
    /// One of them.
    sample: String,
    /// The sections that its originator committed.
    sections: SectionSet,
    count: u64,
}

/// A log with its records by class.
struct Log<'a> {
    owner: &'a Node,
    origin: String,
    entries: u64,
    groups: Vec<Group>,
}

/// Everything that is missing now.
pub(super) async fn missing(network: &Network) -> Result<Vec<Missing>, NetworkError> {
    let mut logs = Vec::new();
    for owner in network.nodes() {
        logs.extend(log_of(owner).await?);
    }
    // What an office passes on can be asked only when it has the records itself: offices first.
    let (offices, others): (Vec<&Node>, Vec<&Node>) = network
        .nodes()
        .iter()
        .partition(|node| node.member().role == Role::Regional);
    for holders in [offices, others] {
        let mut missing = Vec::new();
        for holder in holders {
            missing.extend(missing_at(network, holder, &logs).await?);
        }
        if !missing.is_empty() {
            return Ok(missing);
        }
    }
    Ok(Vec::new())
}

async fn missing_at(network: &Network, holder: &Node, logs: &[Log<'_>]) -> Result<Vec<Missing>, NetworkError> {
    let member = &holder.member().id;
    let held: BTreeMap<String, Counts> = holder
        .status()
        .await?
        .logs
        .iter()
        .map(|log| (log.origin.clone(), Counts::from(log)))
        .collect();
    let mut missing = Vec::new();
    for log in logs.iter().filter(|log| log.owner.member().id != *member) {
        let Some(expected) = expected(network, log, member).await? else {
            continue;
        };
        let found = held.get(&log.origin).copied().unwrap_or_default();
        if found != expected {
            missing.push(Missing {
                holder: member.clone(),
                origin: log.origin.clone(),
                expected,
                found,
            });
        }
    }
    Ok(missing)
}

/// What `holder` should see of a log; nothing where nobody would send it any of it.
async fn expected(network: &Network, log: &Log<'_>, holder: &MemberId) -> Result<Option<Counts>, NetworkError> {
    let mut senders = vec![log.owner];
    for region in &log.owner.member().regions {
        if region.office != *holder {
            senders.push(network.node(&region.office)?);
        }
    }
    let mut counts = Counts {
        entries: log.entries,
        ..Counts::default()
    };
    let mut anything = false;
    for group in &log.groups {
        let mut sections = SectionSet::EMPTY;
        for sender in &senders {
            let answer = sender.explain(&group.sample, holder.as_str()).await?;
            if answer.permitted {
                sections = sections.union(section_set(&answer.sections).intersection(group.sections));
            }
        }
        anything |= !sections.is_empty();
        match sections {
            SectionSet::EMPTY => counts.withheld += group.count,
            open if open == SectionSet::open() => counts.denominalised += group.count,
            _ => counts.disclosed += group.count,
        }
    }
    Ok(anything.then_some(counts))
}

/// A node's own log, if it has issued anything.
async fn log_of(owner: &Node) -> Result<Option<Log<'_>>, NetworkError> {
    let logs = owner.status().await?.logs;
    let Some(status) = logs.into_iter().find(|log| log.own && log.entries > 0) else {
        return Ok(None);
    };
    let mut groups: BTreeMap<(Vec<u8>, SectionSet), Group> = BTreeMap::new();
    for entry in owner.entries(&status.origin, 0).await? {
        let class = entry.record.and_then(|record| record.case).and_then(|case| case.class);
        let class = class.unwrap_or_default().encode_to_vec();
        let sections = section_set(&entry.sections);
        let group = groups.entry((class, sections)).or_insert(Group {
            sample: entry.record_id,
            sections,
            count: 0,
        });
        group.count += 1;
    }
    Ok(Some(Log {
        owner,
        origin: status.origin,
        entries: status.entries,
        groups: groups.into_values().collect(),
    }))
}

/// Section names as a set; a name of a later version counts for nothing here.
fn section_set(names: &[String]) -> SectionSet {
    names
        .iter()
        .filter_map(|name| name.parse::<icomm_proto::SectionKind>().ok())
        .collect()
}

impl Missing {
    /// The holders among these, each once.
    pub fn holders(missing: &[Self]) -> BTreeSet<&MemberId> {
        missing.iter().map(|missing| &missing.holder).collect()
    }
}

impl From<&v1::LogStatus> for Counts {
    fn from(log: &v1::LogStatus) -> Self {
        Self {
            entries: log.entries,
            disclosed: log.disclosed,
            denominalised: log.denominalised,
            withheld: log.withheld,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            entries,
            disclosed,
            denominalised,
            withheld,
        } = self;
        write!(
            f,
            "{entries} entries ({disclosed} disclosed, {denominalised} de-nominalised, {withheld} withheld)"
        )
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} holds of {}: {}; it should be {}",
            self.holder, self.origin, self.found, self.expected
        )
    }
}
