//! The picture as a table: what each node holds of each log, under which agreement, verified or not.

use crate::{
    cli::output::{count, table},
    network::{Picture, Replica},
};

/// With more lines than this a live table would not fit a terminal: it shows a line a node then.
const LIVE_LINES_MAX: usize = 18;

/// Every replica of every node.
pub(super) fn full(picture: &Picture) -> String {
    let mut rows = table([
        "node",
        "log",
        "entries",
        "disclosed",
        "de-nominalised",
        "withheld",
        "under",
        "verified",
    ]);
    for node in &picture.nodes {
        let mut name = node.member.to_string();
        if node.log_size > 0 {
            let all = count(node.log_size);
            let cells = [&all, &all, "0", "0"].map(str::to_owned);
            rows.add_row(line(&mut name, "its own", cells, "", node.verified));
        }
        for replica in &node.replicas {
            let under = replica.agreements.join(", ");
            rows.add_row(line(
                &mut name,
                &replica.origin,
                counts(replica),
                &under,
                replica.verified,
            ));
        }
        if !name.is_empty() {
            rows.add_row([name.as_str(), "nothing yet"]);
        }
    }
    rows.to_string()
}

/// The same while it changes: as long as a terminal is high, or shorter.
pub(super) fn live(picture: &Picture) -> String {
    let lines: usize = picture.nodes.iter().map(|node| 1 + node.replicas.len()).sum();
    if lines <= LIVE_LINES_MAX {
        full(picture)
    } else {
        summary(picture)
    }
}

/// One line a node: its own entries, and the sum of its replicas.
fn summary(picture: &Picture) -> String {
    let mut rows = table([
        "node",
        "own",
        "logs of others",
        "entries",
        "disclosed",
        "de-nominalised",
        "withheld",
    ]);
    for node in &picture.nodes {
        let sum = |of: fn(&Replica) -> u64| count(node.replicas.iter().map(of).sum());
        rows.add_row([
            node.member.to_string(),
            count(node.log_size),
            node.replicas.len().to_string(),
            sum(|replica| replica.entries),
            sum(|replica| replica.disclosed),
            sum(|replica| replica.denominalised),
            sum(|replica| replica.withheld),
        ]);
    }
    rows.to_string()
}

/// One short line for a reader that is no terminal.
pub(super) fn line_of(picture: &Picture) -> String {
    let issued: u64 = picture.nodes.iter().map(|node| node.log_size).sum();
    let copies = picture.nodes.iter().flat_map(|node| &node.replicas);
    format!(
        "{} records issued, {} copies of them with others",
        count(issued),
        count(copies.map(|copy| copy.entries).sum())
    )
}

fn counts(replica: &Replica) -> [String; 4] {
    [
        replica.entries,
        replica.disclosed,
        replica.denominalised,
        replica.withheld,
    ]
    .map(count)
}

/// A row; the node's name stands in its first row only.
fn line(name: &mut String, log: &str, counts: [String; 4], under: &str, verified: bool) -> Vec<String> {
    let mut row = vec![std::mem::take(name), log.to_owned()];
    row.extend(counts);
    row.push(under.to_owned());
    row.push(if verified { "yes" } else { "NO" }.to_owned());
    row
}

#[cfg(test)]
mod tests {
    use icomm_pki::Role;

    use super::{full, line_of, live};
    use crate::network::{NodePicture, Picture, Replica};

    fn picture(replicas: usize) -> Picture {
        let replica = |position: usize| Replica {
            origin: format!("M{position}/main"),
            entries: 1200,
            disclosed: 1000,
            denominalised: 150,
            withheld: 50,
            verified: position > 0,
            agreements: vec!["es-pt@1".to_owned()],
        };
        Picture {
            nodes: vec![NodePicture {
                member: "PT".parse().unwrap(),
                role: Role::National,
                issued: 7,
                log_size: 7,
                root: String::new(),
                verified: true,
                replicas: (0..replicas).map(replica).collect(),
            }],
        }
    }

    #[test]
    fn a_line_for_each_log_or_for_each_node() {
        let text = full(&picture(2));
        for wanted in ["its own", "M0/main", "1,200", "1,000", "150", "es-pt@1", "NO", "yes"] {
            assert!(text.contains(wanted), "{wanted} in\n{text}");
        }
        assert_eq!(live(&picture(2)), text);
        let text = live(&picture(30));
        assert!(text.contains("36,000") && !text.contains("M0/main"), "{text}");
        assert_eq!(
            line_of(&picture(2)),
            "7 records issued, 2,400 copies of them with others"
        );
        assert!(
            full(&Picture {
                nodes: vec![NodePicture {
                    log_size: 0,
                    ..picture(0).nodes.remove(0)
                }]
            })
            .contains("nothing yet")
        );
    }
}
