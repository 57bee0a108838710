//! One record as its owner, a partner, the office and the global node see it, side by side.
//!
//! What a node does not see it still can name: the hash by which the originator committed to it stands in its place.

use comfy_table::{Cell, Table};
use data_encoding::HEXLOWER;
use icomm_pki::{MemberId, Role};
use icomm_proto::{SectionKind, View, v1};

use super::gist;
use crate::{
    cli::output::table,
    network::{Network, NetworkError, Node},
};

/// Entries among which the record to show is looked for.
const LOOKED_AT_MAX: u32 = 500;

/// How much of a hash is shown.
const HASH_DIGITS: usize = 8;

/// One node's sight of the record.
struct Eye {
    who: String,
    entry: Option<v1::Entry>,
}

/// The record that the first administration's partner sees most of, through everybody's eyes. Nothing if there is none.
pub(super) async fn show(network: &Network) -> Result<Option<String>, NetworkError> {
    let administrations: Vec<&Node> = network
        .nodes()
        .iter()
        .filter(|node| node.member().role == Role::National)
        .collect();
    for owner in &administrations {
        let Some(origin) = own_log(owner).await? else { continue };
        for partner in administrations
            .iter()
            .filter(|node| node.member().id != owner.member().id)
        {
            if let Some(record) = most_telling(partner, &origin).await? {
                return Ok(Some(through_all_eyes(network, owner, partner, &record).await?));
            }
        }
    }
    Ok(None)
}

async fn own_log(owner: &Node) -> Result<Option<String>, NetworkError> {
    let logs = owner.status().await?.logs;
    Ok(logs
        .into_iter()
        .find(|log| log.own && log.entries > 0)
        .map(|log| log.origin))
}

/// The first of the records of which the partner sees the most sections.
async fn most_telling(partner: &Node, origin: &str) -> Result<Option<String>, NetworkError> {
    if !partner.status().await?.logs.iter().any(|log| log.origin == origin) {
        return Ok(None);
    }
    let entries = partner.page(origin, 0, LOOKED_AT_MAX).await?.entries;
    let seen = entries.into_iter().rev().filter(|entry| !entry.sections.is_empty());
    Ok(seen
        .max_by_key(|entry| entry.sections.len())
        .map(|entry| entry.record_id))
}

async fn through_all_eyes(
    network: &Network,
    owner: &Node,
    partner: &Node,
    record: &str,
) -> Result<String, NetworkError> {
    let owner_id = &owner.member().id;
    let mut eyes = vec![
        eye(owner, record, "its owner").await?,
        eye(partner, record, "a partner").await?,
    ];
    if let Some(region) = owner.member().regions.first() {
        eyes.push(eye(network.node(&region.office)?, record, "the office").await?);
    }
    if let Some(root) = network.plan().root() {
        eyes.push(eye(network.node(&root.id)?, record, "the root").await?);
    }
    Ok(format!(
        "Record {record} of {}:\n{}",
        owner_id as &MemberId,
        side_by_side(&eyes)
    ))
}

async fn eye(node: &Node, record: &str, what: &str) -> Result<Eye, NetworkError> {
    let entry = node.record(record).await?.into_iter().next();
    let who = format!("{}, {what}", node.member().id);
    Ok(Eye { who, entry })
}

fn side_by_side(eyes: &[Eye]) -> Table {
    let heads = std::iter::once(String::new()).chain(eyes.iter().map(|eye| eye.who.clone()));
    let mut rows = table::<0>([]);
    rows.set_header(heads);
    for section in SectionKind::ALL {
        // A section that the originator never filled is nobody's business.
        if eyes.iter().any(|eye| eye.committed(section)) {
            let cells = eyes.iter().map(|eye| Cell::new(eye.sees(section)));
            rows.add_row(std::iter::once(Cell::new(section)).chain(cells));
        }
    }
    let hash = |eye: &Eye| {
        eye.entry
            .as_ref()
            .map_or_else(String::new, |entry| short(&entry.leaf_hash))
    };
    rows.add_row(std::iter::once("leaf hash".to_owned()).chain(eyes.iter().map(hash)));
    rows.add_row(std::iter::once("verified".to_owned()).chain(eyes.iter().map(Eye::verified)));
    rows
}

impl Eye {
    fn committed(&self, section: SectionKind) -> bool {
        let names = |list: &[String]| list.iter().any(|name| name == section.name());
        self.entry
            .as_ref()
            .is_some_and(|entry| names(&entry.sections) || names(&entry.withheld_sections))
    }

    fn sees(&self, section: SectionKind) -> String {
        let Some(entry) = &self.entry else {
            return "nothing".to_owned();
        };
        if entry.sections.iter().any(|name| name == section.name()) {
            return entry
                .record
                .as_ref()
                .map(|record| gist::of(record, section))
                .unwrap_or_default();
        }
        match committed_hash(entry, section) {
            Some(hash) => format!("withheld\n#{hash}"),
            None => "withheld".to_owned(),
        }
    }

    fn verified(&self) -> String {
        match &self.entry {
            Some(entry) if entry.verified => "yes".to_owned(),
            Some(_) => "NO".to_owned(),
            None => String::new(),
        }
    }
}

/// The hash by which the originator committed to a section.
fn committed_hash(entry: &v1::Entry, section: SectionKind) -> Option<String> {
    let view = View::parse(entry.view.clone()).ok()?;
    let entry = view.entry();
    entry.section_hash(section).map(|hash| short(hash))
}

fn short(hash: &[u8]) -> String {
    let digits: String = HEXLOWER.encode(hash).chars().take(HASH_DIGITS).collect();
    format!("{digits}…")
}

#[cfg(test)]
mod tests {
    use icomm_proto::v1;

    use super::{Eye, side_by_side};

    #[test]
    fn what_is_withheld_is_shown_as_withheld() {
        let owner = v1::Entry {
            sections: vec!["case".into(), "persons".into()],
            record: Some(v1::Draft {
                persons: Some(v1::Persons {
                    persons: vec![v1::Person {
                        family_name: "Testperson".into(),
                        ..Default::default()
                    }],
                }),
                ..Default::default()
            }),
            leaf_hash: vec![0xab; 32].into(),
            verified: true,
            ..Default::default()
        };
        let root = v1::Entry {
            sections: vec!["case".into()],
            withheld_sections: vec!["persons".into()],
            record: Some(v1::Draft::default()),
            ..owner.clone()
        };
        let eye = |who: &str, entry| Eye { who: who.into(), entry };
        let text = side_by_side(&[eye("ES", Some(owner)), eye("WCO", Some(root)), eye("PT", None)]).to_string();
        assert_eq!(text.matches("Testperson").count(), 1, "{text}");
        assert_eq!(text.matches("withheld").count(), 1, "{text}");
        assert_eq!(text.matches("abababab…").count(), 2, "{text}");
        assert!(!text.contains("narrative"), "{text}");
    }
}
