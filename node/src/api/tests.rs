//! The API over a real node: one member, a store in a temporary folder, both doors, HTTP.

use std::time::Duration;

use icomm_proto::v1;
use prost::Message as _;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};

use self::world::{Running, World, draft};
use super::client::Address;

mod world;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_goes_in_and_comes_out() {
    let world = World::new(&["KE"]);
    let running = Running::start(&world.home("KE"), "").await;
    let mut client = running.client().await;

    let request = v1::SubmitRequest {
        draft: Some(draft().encode_to_vec().into()),
        key: vec![7; 16].into(),
    };
    let outcome = client
        .submit(request.clone())
        .await
        .unwrap()
        .into_inner()
        .outcome
        .unwrap();
    assert_eq!((outcome.result(), outcome.index), (v1::outcome::Result::Issued, 0));
    let again = client.submit(request).await.unwrap().into_inner().outcome.unwrap();
    assert_eq!(again.result(), v1::outcome::Result::Duplicate);
    assert_eq!(again.record_id, outcome.record_id);

    let entries = client
        .get(v1::GetRequest {
            record_id: outcome.record_id.clone(),
            history: false,
        })
        .await
        .unwrap()
        .into_inner()
        .entries;
    let [entry] = entries.as_slice() else {
        panic!("{entries:?}")
    };
    assert!(entry.verified);
    assert_eq!(
        (entry.origin.as_str(), entry.kind.as_str(), entry.record_kind.as_str()),
        ("KE/main", "issue", "seizure")
    );
    assert_eq!(entry.sections, ["case", "exact"]);
    let case = entry.record.as_ref().unwrap().case.as_ref().unwrap();
    assert_eq!(case.seizure_month, "2026-05");
    // The stored form verifies on its own.
    let view = icomm_proto::View::parse(entry.view.clone()).unwrap();
    assert_eq!(view.leaf_hash().as_bytes().as_slice(), entry.leaf_hash.as_ref());
    view.verify().unwrap();

    let page = client.list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!((page.entries.len(), page.next, page.end), (1, 1, true));
    assert!(page.entries[0].view.is_empty(), "not asked for");

    let status = client.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert!(status.serving, "{:?}", status.reasons);
    assert_eq!((status.member.as_str(), status.role.as_str()), ("KE", "national"));
    let log = status.logs.first().unwrap();
    assert_eq!(
        (log.origin.as_str(), log.own, log.entries, log.verified),
        ("KE/main", true, 1, true)
    );
    assert!(
        log.checkpoint.starts_with("test.icomm.example/KE/main\n1\n"),
        "{}",
        log.checkpoint
    );

    let doctor = client.doctor(v1::DoctorRequest {}).await.unwrap().into_inner();
    assert!(
        doctor.checks.iter().all(|check| check.level != "error"),
        "{:?}",
        doctor.checks
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_answers_row_by_row() {
    let world = World::new(&["KE"]);
    let running = Running::start(&world.home("KE"), "").await;
    let mut client = running.client().await;
    let row = |key: u8, draft: v1::Draft| v1::ImportRow {
        key: vec![key; 16].into(),
        draft: Some(draft.encode_to_vec().into()),
    };
    let mut wrong = draft();
    wrong.exact.as_mut().unwrap().goods[0].unit = "BUSHELS".into();
    let batch = |dry_run| v1::ImportRequest {
        rows: vec![row(1, draft()), row(2, wrong.clone()), row(3, draft())],
        dry_run,
    };

    let results = |reply: v1::ImportReply| reply.outcomes.iter().map(v1::Outcome::result).collect::<Vec<_>>();
    use v1::outcome::Result::{Duplicate, Issued, Rejected, Valid};
    let mut replies = client
        .import(tokio_stream::iter([batch(true), batch(false), batch(false)]))
        .await
        .unwrap()
        .into_inner();
    let dry = replies.message().await.unwrap().unwrap();
    assert_eq!(dry.outcomes[1].errors[0].field, "goods[0].unit");
    assert!(
        dry.outcomes[1].errors[0].list.starts_with("unit"),
        "{:?}",
        dry.outcomes[1].errors
    );
    assert_eq!(results(dry), [Valid, Rejected, Valid]);
    let mut rest = vec![
        results(replies.message().await.unwrap().unwrap()),
        results(replies.message().await.unwrap().unwrap()),
    ];
    // Two batches with the same keys may be under way at once: each key is issued once, by whichever came first.
    rest.sort();
    assert_eq!(rest, [[Issued, Rejected, Issued], [Duplicate, Rejected, Duplicate]]);
    assert!(replies.message().await.unwrap().is_none());

    let log = client
        .verify_log(v1::VerifyLogRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((log.entries, log.disclosed, log.verified), (2, 2, true));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_t_be_answered_says_whose_fault_it_is() {
    let world = World::new(&["KE"]);
    let running = Running::start(&world.home("KE"), "").await;
    let mut client = running.client().await;
    let nobody = "0195e7c2-94a1-7d11-b0c3-5a2a7f6f2b11";
    let code = |result: Result<(), tonic::Status>| result.unwrap_err().code();

    let get = |id: &str| v1::GetRequest {
        record_id: id.into(),
        history: false,
    };
    assert_eq!(code(client.get(get("x")).await.map(drop)), Code::InvalidArgument);
    assert_eq!(code(client.get(get(nobody)).await.map(drop)), Code::NotFound);
    let list = |origin: &str, limit| v1::ListRequest {
        origin: origin.into(),
        limit,
        ..Default::default()
    };
    assert_eq!(
        code(client.list(list("nowhere", 1)).await.map(drop)),
        Code::InvalidArgument
    );
    assert_eq!(code(client.list(list("", 1001)).await.map(drop)), Code::InvalidArgument);
    let verify = v1::VerifyLogRequest {
        origin: "UG/main".into(),
    };
    assert_eq!(code(client.verify_log(verify).await.map(drop)), Code::NotFound);
    let explain = v1::ExplainRequest {
        record_id: nobody.into(),
        peer: "UG".into(),
    };
    assert_eq!(code(client.explain(explain).await.map(drop)), Code::NotFound);
    let submit = v1::SubmitRequest {
        draft: None,
        key: Default::default(),
    };
    assert_eq!(code(client.submit(submit).await.map(drop)), Code::InvalidArgument);
    let submit = v1::SubmitRequest {
        draft: Some(draft().encode_to_vec().into()),
        key: vec![1; 15].into(),
    };
    assert_eq!(code(client.submit(submit).await.map(drop)), Code::InvalidArgument);
    let watch = v1::WatchRequest {
        origin: String::new(),
        from: Some(3),
    };
    assert_eq!(code(client.watch(watch).await.map(drop)), Code::InvalidArgument);
    let accept = v1::AcceptAgreementRequest { document: "{}".into() };
    assert_eq!(
        code(client.accept_agreement(accept).await.map(drop)),
        Code::InvalidArgument
    );
    let suspend = v1::SuspendAgreementRequest {
        id: "ke-ug".into(),
        reason: "x".into(),
    };
    assert_eq!(code(client.suspend_agreement(suspend).await.map(drop)), Code::NotFound);
    let bundle = v1::UpdateBundleRequest { bundle: "{}".into() };
    assert_eq!(
        code(client.update_bundle(bundle).await.map(drop)),
        Code::FailedPrecondition
    );

    let rows = vec![
        v1::ImportRow {
            key: Default::default(),
            draft: Some(draft().encode_to_vec().into())
        };
        1001
    ];
    let many = v1::ImportRequest { rows, dry_run: true };
    let mut replies = client.import(tokio_stream::once(many)).await.unwrap().into_inner();
    assert_eq!(code(replies.message().await.map(drop)), Code::InvalidArgument);

    // Nothing of all this was stored.
    let page = client.list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert!(page.entries.is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_beyond_the_limit_is_refused() {
    let world = World::new(&["KE"]);
    let running = Running::start(&world.home("KE"), "[api]\nmessage_bytes_max = 65536").await;
    // The client's own limit would stop it first.
    let mut client = running.client().await.max_encoding_message_size(1 << 20);
    let mut large = draft();
    large.narrative = Some(v1::Narrative {
        narrative: "x".repeat(70_000),
        ..Default::default()
    });
    let error = client
        .submit(v1::SubmitRequest {
            draft: Some(large.encode_to_vec().into()),
            key: Default::default(),
        })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange, "{error}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watching_shows_each_entry_once_in_order_and_ends_with_the_node() {
    let world = World::new(&["KE"]);
    let running = Running::start(&world.home("KE"), "").await;
    let mut client = running.client().await;
    let submit = |key: u8| v1::SubmitRequest {
        draft: Some(draft().encode_to_vec().into()),
        key: vec![key; 16].into(),
    };
    client.submit(submit(1)).await.unwrap();

    let mut new = client.watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    let replay = v1::WatchRequest {
        origin: "KE/main".into(),
        from: Some(0),
    };
    let mut all = client.watch(replay).await.unwrap().into_inner();
    client.submit(submit(2)).await.unwrap();
    client.submit(submit(3)).await.unwrap();

    for (stream, expected) in [(&mut new, [1, 2].as_slice()), (&mut all, [0, 1, 2].as_slice())] {
        for index in expected {
            let entry = timeout(SOON, stream.message()).await.unwrap().unwrap().unwrap();
            assert_eq!(entry.index, *index);
        }
    }
    running.stop().await;
    for stream in [&mut new, &mut all] {
        assert!(timeout(SOON, stream.message()).await.unwrap().ok().flatten().is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standard_health_and_reflection_answer() {
    let world = World::new(&["KE"]);
    let running = Running::start(&world.home("KE"), "").await;
    let channel = running.channel().await;
    for service in ["", "icomm.v1.Node"] {
        let request = HealthCheckRequest {
            service: service.into(),
        };
        let reply = HealthClient::new(channel.clone())
            .check(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(reply.status(), ServingStatus::Serving);
    }

    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut replies = ServerReflectionClient::new(channel)
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(list)) = replies.message().await.unwrap().unwrap().message_response
    else {
        panic!("no list of services")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(
        names.contains(&"icomm.v1.Node") && names.contains(&"grpc.health.v1.Health"),
        "{names:?}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tls_door_lets_in_this_member_and_nobody_else() {
    let world = World::new(&["KE", "UG"]);
    let running = Running::start(&world.home("KE"), "[api]\nlisten = \"127.0.0.1:0\"").await;
    let address = Address::Tls(running.tls.unwrap().to_string());
    let mut own = super::client::connect(&address, &world.config("KE", "")).await.unwrap();
    let status = own.status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.member, "KE");

    // UG is a member in good standing, dials KE by its right name, and is none of KE's programs.
    let mut stranger = world.impostor("UG", "KE", &address).await;
    let error = stranger.status(v1::StatusRequest {}).await.unwrap_err();
    // TLS 1.3: the client thinks itself connected before it is refused, so it is the call that ends.
    assert!(
        matches!(error.code(), Code::Unavailable | Code::Cancelled | Code::Unknown),
        "{error}"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_serves_metrics_and_health() {
    let world = World::new(&["KE"]);
    let running = Running::start(&world.home("KE"), "[http]\nlisten = \"127.0.0.1:0\"").await;
    let health = running.http_get("/health").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
    assert!(health.ends_with(r#"{"serving":true,"reasons":[]}"#), "{health}");
    let metrics = running.http_get("/metrics").await;
    assert!(
        metrics.starts_with("HTTP/1.1 200") && metrics.contains("text/plain; version=0.0.4"),
        "{metrics}"
    );
    assert!(running.http_get("/records").await.starts_with("HTTP/1.1 404"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_and_a_taken_port_are_told_apart() {
    let world = World::new(&["KE"]);
    let home = world.home("KE");
    let running = Running::start(&home, "[http]\nlisten = \"127.0.0.1:0\"").await;
    let error = Running::try_start(&home, "").await.err().unwrap();
    assert!(error.contains("another process") || error.contains("in use"), "{error}");
    let other = World::new(&["KE"]);
    let taken = format!("[http]\nlisten = \"{}\"", running.http.unwrap());
    let error = Running::try_start(&other.home("KE"), &taken).await.err().unwrap();
    assert!(
        error.contains("(http.listen): another process listens there"),
        "{error}"
    );
    running.stop().await;
    // With whoever accepts there, who is told to stop at the same time.
    let gone = async {
        while home.join("icomm.sock").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, gone).await.expect("the socket goes with the node");
}
