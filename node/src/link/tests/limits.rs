//! Bounds: frames, connections, age; and that what one link does is no other link's trouble.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use super::{
    hostile::{gate, raw},
    node::{Node, SOON, TLS, config, counted, eventually, head, linked},
    world::World,
};
use crate::link::{CloseReason, LinkLost};

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_frame_closes_only_its_link() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    let mut small = config(&[TLS]);
    small.limits.frame_bytes_max = 64 * 1024;
    let mut a = Node::start(&ke, &bundle, small).await;
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let mut c = Node::start(&tz, &bundle, config(&[])).await;
    let (mut a_of_b, mut b_of_a) = linked(&mut a, &mut b).await;
    let (mut a_of_c, c_of_a) = linked(&mut a, &mut c).await;
    b_of_a.carries(&mut a_of_b, 64_000).await;
    b_of_a.frames_out.send(head("UG/main", 66_000)).await.unwrap();
    assert_eq!(a_of_b.gone().await, LinkLost::FrameTooLarge);
    b_of_a.gone().await;
    c_of_a.carries(&mut a_of_c, 64_000).await;
    assert!(counted(&[
        "icomm_link_bad_frames_total",
        "peer=\"UG\"",
        "reason=\"too-large\""
    ]));
    // It may come back and behave.
    drop((a_of_b, b_of_a));
    let (mut of_a, of_b) = (a.session().await, b.session().await);
    of_b.carries(&mut of_a, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_does_not_read_holds_up_nobody_else() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    let mut a = Node::start(&ke, &bundle, config(&[TLS])).await;
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let mut c = Node::start(&tz, &bundle, config(&[])).await;
    let (stuck, b_of_a) = linked(&mut a, &mut b).await;
    let (mut a_of_c, c_of_a) = linked(&mut a, &mut c).await;
    // Fills queue and windows towards the session that never reads, until sending waits.
    let fill = async {
        loop {
            b_of_a.frames_out.send(head("UG/main", 1_000_000)).await.unwrap();
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(3), fill).await.is_err(),
        "nothing bounds what a sender sends"
    );
    for _ in 0..20 {
        c_of_a.carries(&mut a_of_c, 100_000).await;
    }
    drop(stuck);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_has_so_many_connections_and_no_more() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    let mut few = config(&[TLS]);
    few.limits.member_connections_max = 3;
    let mut a = Node::start(&ke, &bundle, few).await;
    let caller = gate(&ug, &bundle);
    let mut held = Vec::new();
    for n in 1..=3 {
        held.push(raw(&caller, &a, &ke).await);
        eventually("one more connection", || a.links.status().connections.len() == n).await;
    }
    let mut fourth = raw(&caller, &a, &ke).await;
    let read = tokio::time::timeout(SOON, fourth.read(&mut [0; 8]))
        .await
        .expect("closed at once");
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert!(counted(&[
        "icomm_link_refused_total",
        "peer=\"UG\"",
        "reason=\"too-many\""
    ]));
    // Another member isn't concerned.
    let mut c = Node::start(&tz, &bundle, config(&[])).await;
    let (mut of_a, of_c) = linked(&mut a, &mut c).await;
    of_c.carries(&mut of_a, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_do_not_grow_old() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let mut short = config(&[TLS]);
    short.limits.connection_age_ms_max = 1_000;
    let mut a = Node::start(&ke, &bundle, short).await;
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let (mut of_a, of_b) = linked(&mut a, &mut b).await;
    assert_eq!(of_a.gone().await, LinkLost::Closed(CloseReason::Age));
    drop((of_a, of_b));
    // The dialler is back at once, with fresh certificates checked.
    let (mut of_a, of_b) = (a.session().await, b.session().await);
    of_b.carries(&mut of_a, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_lets_the_last_frames_out() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let mut a = Node::start(&ke, &bundle, config(&[TLS])).await;
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let (mut of_a, mut of_b) = linked(&mut a, &mut b).await;
    for _ in 0..5 {
        of_a.frames_out.send(head("KE/main", 200_000)).await.unwrap();
    }
    let ending = tokio::spawn(a.links.shutdown(Duration::from_secs(10)));
    assert_eq!(of_a.gone().await, LinkLost::Broken("ended".to_owned()));
    drop(of_a);
    for _ in 0..5 {
        assert_eq!(of_b.next().await.unwrap(), head("KE/main", 200_000));
    }
    of_b.gone().await;
    drop(of_b);
    tokio::time::timeout(Duration::from_secs(9), ending)
        .await
        .expect("before its deadline")
        .unwrap();
}
