//! Callers that connect and then do nothing, or half of something: each is closed within the limit.

use std::{sync::Arc, time::Duration};

use icomm_pki::{NodeCredentials, VerifiedBundle};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::environment::Environment;

use super::{
    node::{Node, SOON, TLS, config, counted, linked},
    world::World,
};
use crate::link::{
    Address, CloseReason, Config, Limits, LinkLost,
    gate::{Caller, Gate},
    registry::Registry,
    trust::Trust,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A SETTINGS frame without settings.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A caller's own gate, as a member of the network.
pub(super) fn gate(credentials: &Arc<NodeCredentials>, bundle: &Arc<VerifiedBundle>) -> Arc<Gate> {
    let trust = Trust::new(Arc::clone(credentials), Arc::clone(bundle), Environment::system()).unwrap();
    Arc::new(Gate::new(
        Arc::new(trust),
        Registry::new(credentials.peer_id(), 100),
        Limits::default(),
    ))
}

#[expect(clippy::disallowed_methods, reason = "an attacker makes its own connections")]
async fn tcp(address: &Address) -> TcpStream {
    let Address::Tls(address) = address else {
        panic!("not TLS: {address}")
    };
    TcpStream::connect((address.host(), address.port())).await.unwrap()
}

/// A raw TLS connection with the certificate of a member.
pub(super) async fn raw(gate: &Gate, to: &Node, node: &NodeCredentials) -> TlsStream<TcpStream> {
    let name = gate
        .trust()
        .bundle()
        .trust_domain()
        .node_dns(node.member(), node.node_name());
    let connector = TlsConnector::from(gate.trust().client_config());
    connector
        .connect(ServerName::try_from(name).unwrap(), tcp(&to.addresses()[0]).await)
        .await
        .unwrap()
}

/// Calls with a certificate that the server doesn't trust, whatever the server shows; the bytes it answers.
pub(super) async fn call_with(
    credentials: &Arc<NodeCredentials>,
    world: &mut World,
    to: &Address,
) -> std::io::Result<usize> {
    let config = world.credulous_client(credentials);
    let name = ServerName::try_from("anybody.example").unwrap();
    let mut tls = TlsConnector::from(config).connect(name, tcp(to).await).await?;
    tls.write_all(PREFACE).await?;
    tls.write_all(SETTINGS).await?;
    // A refusal comes as an alert on the first read.
    let mut buf = [0; 64];
    tls.read(&mut buf).await
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_callers_are_closed_in_time() {
    let limits = Limits {
        handshake_ms_max: 1_000,
        opening_ms_max: 1_500,
        member_connections_max: 100,
        ..Limits::default()
    };
    slow_callers(limits, 20, Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "opens 2,000 connections and takes ten seconds"]
async fn five_hundred_slow_callers_of_each_kind_are_closed_within_ten_seconds() {
    let limits = Limits {
        member_connections_max: 2_000,
        caller_handshakes_max: 1_000,
        ..Limits::default()
    };
    slow_callers(limits, 500, Duration::from_secs(10)).await;
}

/// Lets `each` callers of four kinds be slow; none may live longer than `max`, and an honest caller isn't held up.
async fn slow_callers(limits: Limits, each: usize, max: Duration) {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    let mut a = Node::start(
        &ke,
        &bundle,
        Config {
            limits,
            ..config(&[TLS])
        },
    )
    .await;
    let caller = gate(&ug, &bundle);

    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..each {
        let mut silent = tcp(&a.addresses()[0]).await;
        callers.spawn(async move { ("silent TCP", lives(&mut silent).await) });
        let mut tls = raw(&caller, &a, &ke).await;
        callers.spawn(async move { ("TLS without preface", lives(&mut tls).await) });
        let mut idle = raw(&caller, &a, &ke).await;
        idle.write_all(&[PREFACE, SETTINGS].concat()).await.unwrap();
        callers.spawn(async move { ("idle HTTP/2", lives(&mut idle).await) });
        // HEADERS without END_HEADERS, and no CONTINUATION ever.
        let mut half = raw(&caller, &a, &ke).await;
        half.write_all(&[PREFACE, SETTINGS, &http2(1, 0, &[0x83])].concat())
            .await
            .unwrap();
        callers.spawn(async move { ("headers without end", lives(&mut half).await) });
    }
    let mut c = Node::start(&tz, &bundle, config(&[])).await;
    let (mut of_a, of_c) = linked(&mut a, &mut c).await;
    of_c.carries(&mut of_a, 1_000).await;

    while let Some(ended) = callers.join_next().await {
        let (kind, lived) = ended.unwrap();
        assert!(lived < max, "{kind} lived {lived:?}");
    }
    assert!(counted(&[
        "icomm_link_refused_total",
        "carrier=\"tls\"",
        "reason=\"timeout\""
    ]));
    assert!(counted(&["icomm_link_cut_total", "peer=\"UG\"", "reason=\"idle\""]));
    of_c.carries(&mut of_a, 1_000).await;
}

/// How long a connection lives that only listens.
async fn lives(io: &mut (impl tokio::io::AsyncRead + Unpin)) -> Duration {
    let start = Instant::now();
    let ended = tokio::time::timeout(Duration::from_secs(60), io.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "open for ever");
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_use_up_the_handshakes() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let mut few = config(&[TLS]);
    few.limits.caller_handshakes_max = 5;
    few.limits.handshake_ms_max = 1_500;
    let mut a = Node::start(&ke, &bundle, few).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(tcp(&a.addresses()[0]).await);
    }
    // The sixth is closed at once; a caller from another network is not concerned.
    let mut sixth = tcp(&a.addresses()[0]).await;
    assert!(lives(&mut sixth).await < Duration::from_secs(1));
    assert!(counted(&["icomm_link_refused_total", "reason=\"too-many-handshakes\""]));
    let gate = gate(&ug, &bundle);
    let ip = |octets: [u8; 4]| Caller::from(std::net::IpAddr::from(octets));
    let permits: Vec<_> = (0..200)
        .map_while(|_| gate.handshake_permit(ip([192, 0, 2, 1])))
        .collect();
    assert_eq!(permits.len(), gate.limits().caller_handshakes_max);
    assert!(gate.handshake_permit(ip([192, 0, 2, 2])).is_some());
    let v6 = |text: &str| -> Caller { text.parse::<std::net::IpAddr>().unwrap().into() };
    assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:0:1"));
    assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
    assert_eq!(v6("::ffff:192.0.2.1"), ip([192, 0, 2, 1]));
    drop(permits);
    assert!(gate.handshake_permit(ip([192, 0, 2, 1])).is_some());
    // Here too, once the silent ones' time is over.
    let mut b = Node::start(&ug, &bundle, config(&[])).await;
    let (mut of_a, of_b) = linked(&mut a, &mut b).await;
    of_b.carries(&mut of_a, 10).await;
}

/// The headers of a well-formed `Link` call, as HPACK literals.
fn link_headers() -> Vec<u8> {
    let mut block = vec![0x83, 0x86]; // :method POST, :scheme http
    let link = [
        (":path", "/icomm.v1.Exchange/Link"),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in link {
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// Begins a `Link` call by hand, as stream 1.
async fn begin_call(tls: &mut TlsStream<TcpStream>) {
    let headers = http2(1, 4, &link_headers());
    tls.write_all(&[PREFACE, SETTINGS, &headers].concat()).await.unwrap();
}

/// An HTTP/2 frame of stream 1.
fn http2(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&size[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_peer_says_nothing_is_closed() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let mut short = config(&[TLS]);
    short.limits.opening_ms_max = 1_000;
    let mut a = Node::start(&ke, &bundle, short).await;
    let mut mute = raw(&gate(&ug, &bundle), &a, &ke).await;
    begin_call(&mut mute).await;
    let mut of_a = a.session().await;
    assert_eq!(of_a.peer.member().as_str(), "UG");
    let start = Instant::now();
    assert_eq!(of_a.gone().await, LinkLost::Closed(CloseReason::Idle));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_frame_ends_the_session_with_a_reason() {
    let mut world = World::new();
    let (ke, ug) = (world.enrol("KE"), world.enrol("UG"));
    let bundle = world.bundle();
    let mut a = Node::start(&ke, &bundle, config(&[TLS])).await;
    let caller = gate(&ug, &bundle);
    let cases: [(&[u8], LinkLost); 4] = [
        // A gibibyte declared: refused before it is read.
        (&[0, 0x40, 0, 0, 0, 1, 2, 3], LinkLost::FrameTooLarge),
        // Compressed, although no compression was agreed.
        (&[1, 0, 0, 0, 2, 1, 2], LinkLost::Malformed),
        // A compression flag that doesn't exist.
        (&[7, 0, 0, 0, 2, 1, 2], LinkLost::Malformed),
        // No protobuf.
        (&[0, 0, 0, 0, 2, 0xff, 0xff], LinkLost::Malformed),
    ];
    for (message, expected) in cases {
        let mut tls = raw(&caller, &a, &ke).await;
        begin_call(&mut tls).await;
        let mut of_a = a.session().await;
        tls.write_all(&http2(0, 0, message)).await.unwrap();
        assert_eq!(of_a.gone().await, expected, "{message:?}");
        // The connection goes as well.
        let _ = tokio::time::timeout(SOON, tls.read_to_end(&mut Vec::new()))
            .await
            .expect("closed");
    }
    assert!(counted(&[
        "icomm_link_bad_frames_total",
        "peer=\"UG\"",
        "reason=\"too-large\""
    ]));
    assert!(counted(&[
        "icomm_link_bad_frames_total",
        "peer=\"UG\"",
        "reason=\"malformed\""
    ]));
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_open_nothing_and_hold_up_nobody() {
    let mut world = World::new();
    let (ke, ug, tz) = (world.enrol("KE"), world.enrol("UG"), world.enrol("TZ"));
    let bundle = world.bundle();
    let mut short = config(&[TLS]);
    short.limits.opening_ms_max = 3_000;
    let mut a = Node::start(&ke, &bundle, short).await;
    let caller = gate(&ug, &bundle);
    // The call's headers are well-formed, as the first session shows.
    let mut first = raw(&caller, &a, &ke).await;
    begin_call(&mut first).await;
    drop(a.session().await);

    let mut floods = tokio::task::JoinSet::new();
    let reset = |stream: u32| {
        let mut frames = Vec::new();
        let id = stream.to_be_bytes();
        for (kind, flags, payload) in [(1, 4, link_headers()), (3, 0, vec![0, 0, 0, 8])] {
            let mut frame = http2(kind, flags, &payload);
            frame[5..9].copy_from_slice(&id);
            frames.extend(frame);
        }
        frames
    };
    let connection_wide = |kind: u8, payload: &[u8]| {
        let mut frame = http2(kind, 0, payload);
        frame[8] = 0;
        frame
    };
    let kinds = [
        (
            "rapid reset",
            (0..20_000).flat_map(|n| reset(n * 2 + 1)).collect::<Vec<u8>>(),
        ),
        (
            "continuations",
            [http2(1, 0, &link_headers()), http2(9, 0, &[0; 64]).repeat(20_000)].concat(),
        ),
        (
            "empty data",
            [http2(1, 4, &link_headers()), http2(0, 0, &[]).repeat(100_000)].concat(),
        ),
        ("settings", connection_wide(4, &[0, 3, 0, 0, 0, 100]).repeat(100_000)),
        ("pings", connection_wide(6, &[0; 8]).repeat(100_000)),
    ];
    for (name, frames) in kinds {
        let mut tls = raw(&caller, &a, &ke).await;
        let start = Instant::now();
        floods.spawn(async move {
            // Doesn't read before it has written all, so that answers pile up against it.
            let _ = tls.write_all(&[PREFACE, SETTINGS, &frames].concat()).await;
            let mut buf = vec![0; 64 * 1024];
            while let Ok(1..) = tls.read(&mut buf).await {}
            (name, start.elapsed())
        });
    }
    let mut c = Node::start(&tz, &bundle, config(&[])).await;
    c.dial(&a);
    let of_c = c.session().await;
    let mut of_a = a.session().await;
    while of_a.peer.member().as_str() != "TZ" {
        of_a = a.session().await;
    }
    for _ in 0..10 {
        of_c.carries(&mut of_a, 10_000).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(15), floods.join_all())
        .await
        .expect("all closed");
    for (name, lived) in &ended {
        // What can't be meant well is cut at once; the rest has its time to open a session, and no more.
        let max = if matches!(*name, "settings" | "pings") { 6 } else { 2 };
        assert!(*lived < Duration::from_secs(max), "{name} lived {lived:?}");
    }
    // One connection, one session: resetting calls in a loop started at most one.
    let mut sessions = 0;
    while let Some(session) = a.session_now() {
        assert_eq!(session.peer.member().as_str(), "UG");
        sessions += 1;
    }
    assert!(sessions <= 3, "{sessions} sessions");
    of_c.carries(&mut of_a, 10_000).await;
}
