//! Two sessions wired to each other, frame by frame.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::*;

/// What one side holds and whom the law lets it serve.
#[derive(Default)]
struct TestWorld {
    member: &'static str,
    logs: RefCell<BTreeMap<Origin, u64>>,
    documents: Vec<v1::Document>,
    revision: RefCell<String>,
    forbids_taking: std::cell::Cell<bool>,
}

impl TestWorld {
    fn new(member: &'static str, logs: &[(&str, u64)]) -> Self {
        let logs = logs
            .iter()
            .map(|(origin, size)| (origin.parse().unwrap(), *size))
            .collect();
        Self {
            member,
            logs: RefCell::new(logs),
            documents: vec![],
            revision: RefCell::new("r1".into()),
            forbids_taking: false.into(),
        }
    }

    fn set(&self, origin: &str, size: Option<u64>) {
        let origin = origin.parse().unwrap();
        match size {
            Some(size) => self.logs.borrow_mut().insert(origin, size),
            None => self.logs.borrow_mut().remove(&origin),
        };
    }
}

impl World for TestWorld {
    fn hello(&self) -> v1::Hello {
        let heads = self.servable().into_iter().map(|(origin, checkpoint, _)| v1::Head {
            origin: origin.to_string(),
            checkpoint,
        });
        v1::Hello {
            protocol: PROTOCOL,
            member: self.member.into(),
            node: "n1".into(),
            heads: heads.collect(),
            ..Default::default()
        }
    }
    fn servable(&self) -> Vec<(Origin, Bytes, u64)> {
        self.logs
            .borrow()
            .iter()
            .map(|(origin, size)| (origin.clone(), Bytes::new(), *size))
            .collect()
    }
    fn servable_size(&self, origin: &Origin) -> Option<u64> {
        self.logs.borrow().get(origin).copied()
    }
    fn grown(&self, origin: &Origin) -> Option<u64> {
        self.servable_size(origin)
    }
    fn unserved(&self, origin: &Origin) -> (&'static str, String) {
        ("no-agreement", origin.to_string())
    }
    fn revision(&self, origin: &Origin) -> Option<String> {
        self.servable_size(origin).map(|_| self.revision.borrow().clone())
    }
    fn may_hear(&self, _: &Testimony) -> bool {
        true
    }
    fn cosigned(&self, _: &Origin) -> Vec<v1::Cosigned> {
        Vec::new()
    }

    fn may_take(&self, _: &Origin) -> bool {
        !self.forbids_taking.get()
    }
    fn documents_for(&self, _: &v1::Hello) -> Vec<v1::Document> {
        self.documents.clone()
    }
    fn generation(&self, _: &Origin) -> Option<u64> {
        Some(0)
    }
    fn recalls(&self, _: Option<&RecallKey>) -> (v1::Recalls, Option<RecallKey>) {
        (v1::Recalls::default(), None)
    }
    fn receipt(&self, origin: &Origin, size: u64, _: Hash) -> Option<v1::Receipt> {
        Some(v1::Receipt {
            origin: origin.to_string(),
            size,
            ..Default::default()
        })
    }
}

fn session(member: &str) -> Session {
    let role = Role::National;
    Session::new(Peer {
        member: member.parse().unwrap(),
        node: "n1".parse().unwrap(),
        role,
    })
}

fn handle(session: &mut Session, world: &TestWorld, event: Event) -> Vec<Action> {
    let mut actions = Vec::new();
    session.handle(event, world, &mut actions);
    actions
}

fn frames(actions: &[Action]) -> Vec<Body> {
    actions
        .iter()
        .filter_map(|action| {
            if let Action::Send(frame) = action {
                frame.body.clone()
            } else {
                None
            }
        })
        .collect()
}

/// A session with `ES` that serves `KE/main` to it and is past the hellos.
fn opened(world: &TestWorld) -> Session {
    let mut session = session("ES");
    handle(&mut session, world, Event::Opened);
    let hello = v1::Hello {
        protocol: PROTOCOL,
        member: "ES".into(),
        node: "n1".into(),
        ..Default::default()
    };
    let actions = handle(&mut session, world, frame(Body::Hello(hello)));
    assert!(matches!(actions[..], [Action::CaughtUp]), "{actions:?}");
    session
}

fn frame(body: Body) -> Event {
    Event::Frame(v1::Frame { body: Some(body) })
}

fn want(origin: &str, from: u64) -> Event {
    frame(Body::Want(v1::Want {
        origin: origin.into(),
        from,
        stop: false,
        under: Some(v1::Revisions {
            revision: "r1".into(),
            ..Default::default()
        }),
    }))
}

fn prepared(from: u64, count: u32) -> Event {
    let chunk = v1::Chunk {
        origin: "KE/main".into(),
        from,
        count,
        ..Default::default()
    };
    let prepared = Some(Prepared {
        chunk,
        note: Bytes::from_static(b"note"),
        revision: "r1".into(),
        as_of: 0,
    });
    Event::Prepared {
        origin: "KE/main".parse().unwrap(),
        prepared,
    }
}

fn refusals(actions: &[Action]) -> Vec<(String, String)> {
    frames(actions)
        .into_iter()
        .filter_map(|body| {
            if let Body::Refusal(refusal) = body {
                Some((refusal.code, refusal.origin))
            } else {
                None
            }
        })
        .collect()
}

fn closed(actions: &[Action]) -> Option<&Closed> {
    actions.iter().find_map(|action| {
        if let Action::Close(closed) = action {
            Some(closed)
        } else {
            None
        }
    })
}

#[test]
fn a_chunk_leaves_only_after_its_note_is_durable() {
    let world = TestWorld::new("KE", &[("KE/main", 10)]);
    let mut session = opened(&world);
    let actions = handle(&mut session, &world, want("KE/main", 0));
    assert!(matches!(
        actions[..],
        [Action::Follow { .. }, Action::Read { from: 0, .. }]
    ));
    let actions = handle(&mut session, &world, prepared(0, 10));
    let [Action::Note { ticket, ref origin, .. }] = actions[..] else {
        panic!("{actions:?}")
    };
    let actions = handle(
        &mut session,
        &world,
        Event::Noted {
            origin: origin.clone(),
            ticket,
        },
    );
    assert!(matches!(&frames(&actions)[..], [Body::Chunk(chunk)] if chunk.count == 10));
    assert_eq!(session.entries(), (10, 0));
}

#[test]
fn a_log_that_grows_is_read_on_without_being_asked_again() {
    let world = TestWorld::new("KE", &[("KE/main", 0)]);
    let mut session = opened(&world);
    assert!(matches!(
        handle(&mut session, &world, want("KE/main", 0))[..],
        [Action::Follow { .. }]
    ));
    world.set("KE/main", Some(3));
    let grew = || Event::Grew {
        origin: "KE/main".parse().unwrap(),
    };
    assert!(matches!(
        handle(&mut session, &world, grew())[..],
        [Action::Read {
            from: 0,
            entries: 3,
            ..
        }]
    ));
    assert!(handle(&mut session, &world, grew()).is_empty(), "it is being read");
}

#[test]
fn a_log_is_followed_while_it_is_fed_and_no_longer() {
    let world = TestWorld::new("KE", &[("KE/main", 0)]);
    let stop = || {
        frame(Body::Want(v1::Want {
            origin: "KE/main".into(),
            from: 0,
            stop: true,
            under: None,
        }))
    };
    let refusal = || {
        frame(Body::Refusal(v1::Refusal {
            origin: "KE/main".into(),
            ..Default::default()
        }))
    };
    let lapse = || Event::Grew {
        origin: "KE/main".parse().unwrap(),
    };
    for (end, basis) in [(stop(), true), (refusal(), true), (lapse(), false)] {
        let mut session = opened(&world);
        let follows = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Follow { .. }));
        let unfollows = |actions: &[Action]| actions.iter().any(|action| matches!(action, Action::Unfollow { .. }));
        assert!(follows(&handle(&mut session, &world, want("KE/main", 0))));
        let again = handle(&mut session, &world, want("KE/main", 0));
        assert!(!follows(&again) && !unfollows(&again), "once is enough");
        world.set("KE/main", basis.then_some(0));
        assert!(unfollows(&handle(&mut session, &world, end)));
        world.set("KE/main", Some(0));
    }
}

#[test]
fn without_a_legal_basis_not_even_the_size_is_told() {
    let world = TestWorld::new("KE", &[("KE/main", 10)]);
    let mut session = opened(&world);
    let actions = handle(&mut session, &world, want("KE/special", 0));
    assert_eq!(refusals(&actions), vec![("no-agreement".into(), "KE/special".into())]);
}

#[test]
fn a_basis_that_lapses_in_mid_stream_stops_the_next_chunk() {
    let world = TestWorld::new("KE", &[("KE/main", 100)]);
    let mut session = opened(&world);
    handle(&mut session, &world, want("KE/main", 0));
    let actions = handle(&mut session, &world, prepared(0, 10));
    let Some(Action::Note { ticket, origin, .. }) = actions.into_iter().find(|a| matches!(a, Action::Note { .. }))
    else {
        panic!()
    };
    world.set("KE/main", None);
    let actions = handle(&mut session, &world, Event::Noted { origin, ticket });
    assert_eq!(refusals(&actions), vec![("no-agreement".into(), "KE/main".into())]);
    let after: Vec<Action> = [want("KE/main", 10), prepared(10, 10), Event::Changed]
        .into_iter()
        .flat_map(|event| handle(&mut session, &world, event))
        .collect();
    assert!(
        frames(&after).iter().all(|body| matches!(body, Body::Refusal(_))),
        "{after:?}"
    );
}

#[test]
fn a_log_that_becomes_servable_is_offered_once() {
    let world = TestWorld::new("KE", &[]);
    let mut session = opened(&world);
    world.set("KE/main", Some(5));
    let actions = handle(&mut session, &world, Event::Changed);
    assert!(matches!(&frames(&actions)[..], [Body::Head(head)] if head.origin == "KE/main"));
    assert!(handle(&mut session, &world, Event::Changed).is_empty());
}

#[test]
fn a_chunk_nobody_asked_for_is_not_accepted() {
    let world = TestWorld::new("KE", &[]);
    let mut session = opened(&world);
    let chunk = v1::Chunk {
        origin: "ES/main".into(),
        from: 0,
        count: 1,
        ..Default::default()
    };
    assert!(handle(&mut session, &world, frame(Body::Chunk(chunk.clone()))).is_empty());
    let origin: Origin = "ES/main".parse().unwrap();
    let actions = handle(
        &mut session,
        &world,
        Event::Ask {
            origin,
            from: 0,
            under: v1::Revisions::default(),
            start: true,
        },
    );
    assert!(matches!(&frames(&actions)[..], [Body::Want(want)] if !want.stop));
    assert!(matches!(
        handle(&mut session, &world, frame(Body::Chunk(chunk)))[..],
        [Action::Accept(_)]
    ));
}

#[test]
fn what_comes_without_a_basis_is_not_taken_and_is_asked_for_again_when_there_is_one() {
    let world = TestWorld::new("KE", &[]);
    let mut session = opened(&world);
    let origin: Origin = "ES/main".parse().unwrap();
    let ask = || Event::Ask {
        origin: "ES/main".parse().unwrap(),
        from: 0,
        under: v1::Revisions::default(),
        start: true,
    };
    handle(&mut session, &world, ask());
    let chunk = || {
        frame(Body::Chunk(v1::Chunk {
            origin: "ES/main".into(),
            count: 1,
            ..Default::default()
        }))
    };
    assert!(matches!(handle(&mut session, &world, chunk())[..], [Action::Accept(_)]));
    world.forbids_taking.set(true);
    let refill = frame(Body::Refill(v1::Refill {
        origin: "ES/main".into(),
        ..Default::default()
    }));
    let actions = handle(&mut session, &world, refill);
    assert_eq!(refusals(&actions), vec![("no-agreement".into(), "ES/main".into())]);
    assert!(actions.iter().any(|action| matches!(action, Action::Declined { .. })));
    assert!(
        handle(&mut session, &world, chunk()).is_empty(),
        "not asked for any more"
    );
    assert!(handle(&mut session, &world, Event::Changed).is_empty());
    world.forbids_taking.set(false);
    let actions = handle(&mut session, &world, Event::Changed);
    assert!(matches!(&actions[..], [Action::Resumed { origin: back }] if *back == origin));
    handle(&mut session, &world, ask());
    // Without a chunk to refuse, too: time alone ends agreements.
    world.forbids_taking.set(true);
    let actions = handle(&mut session, &world, Event::Changed);
    assert_eq!(refusals(&actions), vec![("no-agreement".into(), "ES/main".into())]);
}

#[test]
fn a_faulty_chunk_ends_that_log_and_no_other() {
    let world = TestWorld::new("KE", &[("KE/main", 10)]);
    let mut session = opened(&world);
    let origin: Origin = "ES/main".parse().unwrap();
    handle(
        &mut session,
        &world,
        Event::Ask {
            origin: origin.clone(),
            from: 0,
            under: v1::Revisions::default(),
            start: true,
        },
    );
    let fault = Event::Faulty {
        origin,
        code: "tampered-chunk",
        message: "the root does not match".into(),
    };
    let actions = handle(&mut session, &world, fault);
    assert_eq!(refusals(&actions), vec![("tampered-chunk".into(), "ES/main".into())]);
    assert!(closed(&actions).is_none());
    assert!(matches!(
        handle(&mut session, &world, want("KE/main", 0))[..],
        [Action::Follow { .. }, Action::Read { .. }]
    ));
}

#[test]
fn what_comes_before_or_instead_of_the_hello_ends_the_session() {
    let hello = |member: &str, protocol| {
        frame(Body::Hello(v1::Hello {
            protocol,
            member: member.into(),
            node: "n1".into(),
            ..Default::default()
        }))
    };
    let cases = [
        (want("KE/main", 0), "no-hello"),
        (Event::Frame(v1::Frame { body: None }), "empty-frame"),
        (hello("PT", PROTOCOL), "identity-mismatch"),
        (hello("ES", 2), "protocol"),
    ];
    for (event, code) in cases {
        let world = TestWorld::new("KE", &[("KE/main", 1)]);
        let mut session = session("ES");
        handle(&mut session, &world, Event::Opened);
        let actions = handle(&mut session, &world, event);
        let closed = closed(&actions).unwrap();
        assert_eq!((closed.code.as_str(), closed.peers_fault), (code, true));
        assert!(
            handle(&mut session, &world, want("KE/main", 0)).is_empty(),
            "a closed session does nothing"
        );
    }
}

#[test]
fn a_second_hello_ends_the_session() {
    let world = TestWorld::new("KE", &[]);
    let mut session = opened(&world);
    let hello = v1::Hello {
        protocol: PROTOCOL,
        member: "ES".into(),
        node: "n1".into(),
        ..Default::default()
    };
    let actions = handle(&mut session, &world, frame(Body::Hello(hello)));
    assert_eq!(closed(&actions).unwrap().code, "second-hello");
}

#[test]
fn a_cursor_beyond_the_log_is_refused() {
    let world = TestWorld::new("KE", &[("KE/main", 10)]);
    let mut session = opened(&world);
    let actions = handle(&mut session, &world, want("KE/main", 11));
    assert_eq!(refusals(&actions), vec![("cursor-beyond-log".into(), "KE/main".into())]);
}

#[test]
fn a_refusal_of_one_log_withdraws_it_and_of_all_closes() {
    let world = TestWorld::new("KE", &[("KE/main", 10)]);
    let mut session = opened(&world);
    let refusal = |origin: &str| {
        frame(Body::Refusal(v1::Refusal {
            code: "no-agreement".into(),
            message: "x".into(),
            origin: origin.into(),
        }))
    };
    assert!(matches!(
        handle(&mut session, &world, refusal("ES/main"))[..],
        [Action::Withdrawn { .. }]
    ));
    assert!(!closed(&handle(&mut session, &world, refusal(""))).unwrap().peers_fault);
}

#[test]
fn wants_without_end_end_the_session() {
    let world = TestWorld::new("KE", &[("KE/main", 10)]);
    let mut session = opened(&world);
    for _ in 0..WANTS_MAX {
        assert!(closed(&handle(&mut session, &world, want("KE/main", 0))).is_none());
    }
    let actions = handle(&mut session, &world, want("KE/main", 0));
    assert_eq!(closed(&actions).unwrap().code, "too-many-wants");
}
