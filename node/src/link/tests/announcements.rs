//! A checkpoint that one node announces reaches nodes it has no link with; what isn't an announcement goes nowhere.

use std::time::Duration;

use futures::StreamExt;
use icomm_proto::v1::Head;

use super::{
    node::{Node, QUIC, SOON, config, counted, eventually},
    world::World,
};
use crate::link::{Announcement, Config};

fn head(size: u64) -> Head {
    let checkpoint = format!("demo.icomm.example/KE/main\n{size}\nAAAA\n");
    Head {
        origin: "KE/main".to_owned(),
        checkpoint: checkpoint.into_bytes().into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gossip_reaches_a_third_node() {
    let mut world = World::new();
    let (rilo, ke, ug) = (world.enrol("RILO-ESA"), world.enrol("KE"), world.enrol("UG"));
    let hub = Node::start(
        &rilo,
        &world.bundle(),
        Config {
            relay: true,
            ..config(&[QUIC])
        },
    )
    .await;
    world.set_addresses("RILO-ESA", &hub.addresses());
    let bundle = world.bundle();
    hub.links.set_bundle(bundle.clone()).await.unwrap();
    let member = |relays: &str| Config {
        relays: vec![relays.parse().unwrap()],
        ..config(&[])
    };
    let a = Node::start(&ke, &bundle, member("RILO-ESA")).await;
    let c = Node::start(&ug, &bundle, member("RILO-ESA")).await;
    let mut heard = Box::pin(c.links.announcements());
    let mut at_hub = Box::pin(hub.links.announcements());

    // Gossip promises nothing to who isn't connected yet, so a node says its newest head again.
    let mut size = 0;
    let until = tokio::time::Instant::now() + SOON;
    let announcement: Announcement = loop {
        size += 1;
        a.links.announce(head(size));
        match tokio::time::timeout(Duration::from_millis(200), heard.next()).await {
            Ok(announcement) => break announcement.unwrap(),
            Err(_) => assert!(tokio::time::Instant::now() < until, "the announcement never came"),
        }
    };
    assert_eq!(announcement.member.as_str(), "KE");
    assert_eq!(announcement.node, *ke.node_name());
    assert!(
        announcement
            .head
            .checkpoint
            .starts_with(b"demo.icomm.example/KE/main\n")
    );
    assert_eq!(at_hub.next().await.unwrap().member.as_str(), "KE");

    // Too large, and without an origin: the hub doesn't pass them on.
    let large = Head {
        checkpoint: vec![b'x'; 8_500].into(),
        ..head(1)
    };
    a.links.announce(large);
    a.links.announce(Head {
        origin: String::new(),
        ..head(9_999)
    });
    eventually("the hub rejects both", || {
        counted(&["icomm_link_announcements_total", "peer=\"KE\"", "verdict=\"too-large\""])
            && counted(&["icomm_link_announcements_total", "peer=\"KE\"", "verdict=\"malformed\""])
    })
    .await;
    a.links.announce(head(1_000_000));
    let last = tokio::time::timeout(SOON, async {
        loop {
            let next = heard.next().await.unwrap();
            assert!(!next.head.origin.is_empty() && next.head.checkpoint.len() < 8_000);
            if next.head == head(1_000_000) {
                return next;
            }
        }
    });
    last.await.expect("a good announcement after bad ones");
}
