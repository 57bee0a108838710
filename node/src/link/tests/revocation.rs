//! A new bundle acts at once on what runs: whoever it no longer vouches for is cut, others don't notice.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{
    node::{Node, QUIC, TCP, TLS, config, counted, eventually, linked, movable},
    world::World,
};
use crate::link::{AdoptError, CloseReason, LinkLost};

#[tokio::test(flavor = "multi_thread")]
async fn revocation_cuts_a_live_link_and_no_other() {
    for listen in [TLS, QUIC, TCP] {
        let mut world = World::new();
        let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
        let before = world.bundle();
        let mut a = Node::start(&ke, &before, config(&[listen])).await;
        let mut b = Node::start(&ug, &before, config(&[])).await;
        let mut c = Node::start(&tz, &before, config(&[])).await;
        let (mut a_of_b, mut b_of_a) = linked(&mut a, &mut b).await;
        let (mut a_of_c, mut c_of_a) = linked(&mut a, &mut c).await;
        a_of_b.carries(&mut b_of_a, 100).await;

        world.revoke("UG");
        let start = Instant::now();
        a.links.set_bundle(world.bundle()).await.unwrap();
        let lost = a_of_b.gone().await;
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{listen}: {:?}",
            start.elapsed()
        );
        assert!(
            matches!(lost, LinkLost::Closed(CloseReason::Untrusted { .. })),
            "{lost:?}"
        );
        b_of_a.gone().await;
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{listen}: {:?}",
            start.elapsed()
        );
        assert!(counted(&[
            "icomm_link_closed_total",
            "peer=\"UG\"",
            "reason=\"untrusted\""
        ]));

        // The dialler comes back and stays outside.
        assert!(a.stays_alone(Duration::from_millis(500)).await);
        a_of_c.carries(&mut c_of_a, 100).await;
        c_of_a.carries(&mut a_of_c, 100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_leaves_the_directory_is_cut() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let before = world.bundle();
    let mut a = Node::start(&ke, &before, config(&[QUIC])).await;
    let mut b = Node::start(&ug, &before, config(&[])).await;
    let (mut of_a, _of_b) = linked(&mut a, &mut b).await;
    world.unlist("UG");
    a.links.set_bundle(world.bundle()).await.unwrap();
    assert!(matches!(
        of_a.gone().await,
        LinkLost::Closed(CloseReason::Untrusted { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bundle_goes_back_and_an_expired_one_closes_links() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let (older, newer) = (world.bundle(), world.bundle());
    let (clock, seconds) = movable();
    let mut a = Node::try_start(&ke, &newer, config(&[TLS]), clock).await.unwrap();
    let mut b = Node::start(&ug, &newer, config(&[])).await;
    let (mut of_a, of_b) = linked(&mut a, &mut b).await;
    let refused = a.links.set_bundle(older).await;
    assert!(matches!(refused, Err(AdoptError::Older { .. })), "{refused:?}");
    assert_eq!(of_a.peer.member().as_str(), "UG");

    seconds.store(400 * 86_400, Ordering::SeqCst);
    let lost = of_a.gone().await;
    assert!(matches!(lost, LinkLost::Closed(CloseReason::BundleExpired)), "{lost:?}");
    assert!(matches!(a.links.set_bundle(newer).await, Err(AdoptError::Expired(_))));
    drop(of_b);
    eventually("callers refused", || {
        counted(&["icomm_link_refused_total", "reason=\"bundle-expired\""])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_can_hang_up() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let mut a = Node::start(&ke, &bundle, config(&[TLS])).await;
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let (_of_a, mut of_b) = linked(&mut a, &mut b).await;
    b.links.hang_up(&a.member);
    assert_eq!(of_b.gone().await, LinkLost::Closed(CloseReason::Requested));
    assert!(b.stays_alone(Duration::from_millis(400)).await);
    assert!(b.links.status().peers.is_empty());
}
