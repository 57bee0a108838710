//! What must not work, from outside: each ends with a clear message, and everybody else goes on.

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use icomm_node::network::{
    Network, NetworkError, Tally,
    terms::{self, Exchange},
};
use icomm_policy::agreement::{Agreement, Day};

use crate::bench::{
    ends_with, icomm, id, import, mapping, national, plan, prepared, quartet, root, running, settled, since, text,
    until,
};

fn runs(home: &Path) -> Output {
    ends_with(1, icomm().args(["run", "--home"]).arg(home).stdin(Stdio::null()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_can_not_start_says_why() {
    let mut network = prepared(quartet());
    let home = network.node(&id("ES")).unwrap().home().to_owned();
    let settings = fs::read_to_string(home.join("icomm.toml")).unwrap();

    let misspelt = settings.replace("[store]", "[store]\nfoldr = \"elsewhere\"");
    fs::write(home.join("icomm.toml"), misspelt).unwrap();
    let said = text(&runs(&home).stderr);
    assert!(said.contains("foldr") && said.contains("icomm.toml"), "{said}");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ours = network.node(&id("ES")).unwrap().config().links.tls[0].to_string();
    fs::write(home.join("icomm.toml"), settings.replace(&ours, &address)).unwrap();
    let said = text(&runs(&home).stderr);
    assert!(said.contains(&address) && said.contains("in use"), "{said}");

    fs::write(home.join("icomm.toml"), &settings).unwrap();
    fs::rename(home.join("identity/member-key.pem"), home.join("identity/away.pem")).unwrap();
    let said = text(&runs(&home).stderr);
    assert!(said.contains("member-key.pem"), "{said}");
    fs::rename(home.join("identity/away.pem"), home.join("identity/member-key.pem")).unwrap();

    // The second attempt had made the store and its key; another key, an open one and none are refused.
    let key = home.join("identity/store-key");
    let right = fs::read_to_string(&key).unwrap();
    fs::write(
        &key,
        right.replace(&right[30..32], if &right[30..32] == "00" { "11" } else { "00" }),
    )
    .unwrap();
    let said = text(&runs(&home).stderr);
    assert!(
        said.contains("the store key is not the one that the store was made with"),
        "{said}"
    );
    fs::write(&key, "not a key").unwrap();
    let said = text(&runs(&home).stderr);
    assert!(said.contains("store-key") && said.contains("not a store key"), "{said}");
    fs::remove_file(&key).unwrap();
    let said = text(&runs(&home).stderr);
    assert!(
        said.contains("store-key") && said.contains("is missing") && !key.exists(),
        "{said}"
    );
    fs::write(&key, &right).unwrap();
    let said = text(&runs(&home).stderr);
    assert!(
        said.contains("others may read the key") && said.contains("chmod 600"),
        "{said}"
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    // After all that it starts as if nothing had been, and nobody else gets its store.
    let spain = network.node_mut(&id("ES")).unwrap();
    spain.start().unwrap();
    spain.ready(crate::bench::READY_WITHIN).await.unwrap();
    let other_port = settings
        .lines()
        .filter(|line| !line.starts_with("tls =") && !line.starts_with("listen ="));
    let other = network.folder().join("other.toml");
    fs::write(&other, other_port.collect::<Vec<_>>().join("\n")).unwrap();
    let said = text(&runs(&home).stderr);
    assert!(said.contains("in use") || said.contains("another process"), "{said}");
    fs::copy(&other, home.join("icomm.toml")).unwrap();
    let said = text(&runs(&home).stderr);
    assert!(said.contains("store") || said.contains("another process"), "{said}");
    assert!(
        network.node(&id("ES")).unwrap().status().await.unwrap().serving,
        "the first one goes on"
    );
}

fn refusal<T: std::fmt::Debug>(answer: Result<T, NetworkError>) -> String {
    match answer.unwrap_err() {
        NetworkError::Call { status, .. } => status.message().to_owned(),
        other => panic!("{other}"),
    }
}

async fn signed(network: &Network, agreement: &Agreement, by: &[&str]) -> bytes::Bytes {
    let mut document: bytes::Bytes = agreement.canonical().to_vec().into();
    for member in by {
        document = network
            .node(&id(member))
            .unwrap()
            .sign_agreement(document)
            .await
            .unwrap();
    }
    document
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn agreements_that_bind_nobody_are_refused() {
    let network = running(quartet()).await;
    let spain = network.node(&id("ES")).unwrap();
    let nominal = Exchange::nominal;
    let open = || Exchange {
        sections: icomm_proto::SectionSet::open(),
        ..nominal()
    };
    let (es, pt) = (id("ES"), id("PT"));

    // The same version with another text.
    let other = terms::bilateral(&es, &pt, open(), open(), since()).unwrap();
    let one_sided = signed(&network, &other, &["ES"]).await;
    let said = refusal(spain.accept_agreement(one_sided).await);
    assert!(said.contains("not signed by `PT`"), "{said}");
    let both = signed(&network, &other, &["ES", "PT"]).await;
    let said = refusal(spain.accept_agreement(both).await);
    assert!(said.contains("es-pt") && said.contains("version"), "{said}");

    // A word changed after both have signed.
    let mut terms = other.terms().clone();
    terms.version = 2;
    let second = Agreement::new(terms).unwrap();
    let both = signed(&network, &second, &["ES", "PT"]).await;
    let forged = text(&both).replace("\"days\":1825", "\"days\":9999");
    let said = refusal(spain.accept_agreement(forged.into_bytes().into()).await);
    assert!(said.contains("signature"), "{said}");

    // The second version counts, and the first, handed in again, takes nothing back.
    assert_eq!(spain.accept_agreement(both).await.unwrap().state, "in-force");
    let first = signed(&network, &quartet().agreements[0], &["ES", "PT"]).await;
    assert_eq!(spain.accept_agreement(first).await.unwrap().state, "superseded");
    let mut client = spain.client().await.unwrap();
    let known = client
        .list_agreements(icomm_proto::v1::ListAgreementsRequest {})
        .await
        .unwrap()
        .into_inner();
    let in_force = known
        .agreements
        .iter()
        .filter(|known| known.id == "es-pt" && known.state == "in-force");
    assert_eq!(in_force.map(|known| known.version).collect::<Vec<_>>(), [2]);

    // Somebody who is no party can't sign, and what is no agreement is none.
    let said = refusal(
        network
            .node(&id("WCO"))
            .unwrap()
            .sign_agreement(second.canonical().to_vec().into())
            .await,
    );
    assert!(said.contains("`WCO`"), "{said}");
    refusal(spain.accept_agreement("not an agreement".into()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_or_suspended_or_not_yet_gives_nothing() {
    let day = |day: &str| -> Day { day.parse().unwrap() };
    let (es, pt, it) = (id("ES"), id("PT"), id("IT"));
    let nominal = Exchange::nominal;
    let over = {
        let mut terms = terms::bilateral(&es, &it, nominal(), nominal(), since())
            .unwrap()
            .terms()
            .clone();
        terms.in_force_until = Some(day("2026-02-01"));
        Agreement::new(terms).unwrap()
    };
    let members = ["ES", "PT", "IT"].map(|member| national(member, &[]));
    let between = terms::bilateral(&es, &pt, nominal(), nominal(), since()).unwrap();
    let future = terms::bilateral(&pt, &it, nominal(), nominal(), day("2099-01-01")).unwrap();
    let network = running(plan(
        members.into_iter().chain([root()]).collect(),
        vec![between, future],
    ))
    .await;

    let spain = network.node(&es).unwrap();
    let said = refusal(
        spain
            .accept_agreement(signed(&network, &over, &["ES", "IT"]).await)
            .await,
    );
    assert!(said.contains("es-it") && said.contains("over"), "{said}");
    let mut client = network.node(&pt).unwrap().client().await.unwrap();
    let known = client
        .list_agreements(icomm_proto::v1::ListAgreementsRequest {})
        .await
        .unwrap()
        .into_inner();
    let future = known
        .agreements
        .iter()
        .find(|agreement| agreement.id == "pt-it")
        .unwrap();
    assert_eq!(future.state, "not-yet-in-force");

    let mut tally = Tally::default();
    let rows = |number: usize, first: usize| {
        let mut text = "short_form,seizure_date,seizure_country,conveyance_type,goods_1_category,goods_1_kind,\
                        goods_1_quantity,goods_1_unit,national_reference,administration\n"
            .to_owned();
        for row in first..first + number {
            text += &format!("yes,2026-10-05,ES,commercial-air,drugs,cocaine,{row},KGM,REF-{row},ES\n");
        }
        text
    };
    let file = network.folder().join("first.csv");
    fs::write(&file, rows(40, 1)).unwrap();
    import(&network, &file, &mapping("icomm-template"), &mut tally).await;
    assert_eq!(tally.issued, 40);
    settled(&network).await;
    let replica = async |holder: &str| {
        let logs = network.node(&id(holder)).unwrap().status().await.unwrap().logs;
        logs.into_iter()
            .find(|log| log.origin == "ES/main")
            .map_or(0, |log| log.disclosed + log.denominalised)
    };
    assert_eq!(replica("PT").await, 40);
    assert_eq!(replica("IT").await, 0, "the agreement with IT is over");

    let suspended = network
        .node(&es)
        .unwrap()
        .suspend_agreement("es-pt", "a court's order")
        .await
        .unwrap();
    assert_eq!(suspended.state, "suspended");
    let file = network.folder().join("second.csv");
    fs::write(&file, rows(40, 101)).unwrap();
    import(&network, &file, &mapping("icomm-template"), &mut tally).await;
    assert_eq!(tally.issued, 80);
    until("the other side knows of the suspension", async || {
        let mut client = network.node(&pt).unwrap().client().await.unwrap();
        let known = client
            .list_agreements(icomm_proto::v1::ListAgreementsRequest {})
            .await
            .unwrap()
            .into_inner();
        known
            .agreements
            .iter()
            .any(|agreement| agreement.id == "es-pt" && agreement.state == "suspended")
    })
    .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(replica("PT").await, 40, "not one record more");
    let newest = network.node(&es).unwrap().entries("", 79).await.unwrap();
    let explained = network
        .node(&es)
        .unwrap()
        .explain(&newest[0].record_id, "PT")
        .await
        .unwrap();
    assert!(
        !explained.permitted && explained.text.contains("suspended"),
        "{}",
        explained.text
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_member_is_cut_off_and_the_others_go_on() {
    let mut network = running(quartet()).await;
    let connected = async |network: &Network, from: &str, to: &str| {
        let links = network.node(&id(from)).unwrap().status().await.unwrap().links;
        links.iter().any(|link| link.member == to && link.state == "connected")
    };
    until("everybody is linked", async || {
        connected(&network, "ES", "PT").await && connected(&network, "RILO-WE", "PT").await
    })
    .await;
    network.revoke(&id("PT")).await.unwrap();
    until("the revoked member is cut off", async || {
        !connected(&network, "ES", "PT").await && !connected(&network, "RILO-WE", "PT").await
    })
    .await;

    let file = network.folder().join("cases.csv");
    let text = "short_form,seizure_date,seizure_country,conveyance_type,goods_1_category,goods_1_kind,goods_1_quantity,\
                goods_1_unit,administration\nyes,2026-10-05,ES,commercial-air,drugs,cocaine,7,KGM,ES\n";
    fs::write(&file, text).unwrap();
    import(&network, &file, &mapping("icomm-template"), &mut Tally::default()).await;
    until("the root has the new case", async || {
        let logs = network.node(&id("WCO")).unwrap().status().await.unwrap().logs;
        logs.iter().any(|log| log.origin == "ES/main" && log.denominalised == 1)
    })
    .await;
    let logs = network.node(&id("PT")).unwrap().status().await.unwrap().logs;
    assert!(
        logs.iter().all(|log| log.origin != "ES/main" || log.entries == 0),
        "{logs:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_with_certificates_of_another_root_gets_nowhere() {
    let network = running(quartet()).await;
    let target = network.node(&id("ES")).unwrap().config().links.tls[0];

    // The same names, the same agreements even, and another root.
    let mut impostors = prepared(quartet());
    let portugal = impostors.node_mut(&id("PT")).unwrap();
    portugal.start().unwrap();
    portugal.ready(crate::bench::READY_WITHIN).await.unwrap();
    let redirect =
        |settings: String| settings + &format!("\n[[links.peer]]\nmember = \"ES\"\naddresses = [\"tls://{target}\"]\n");
    portugal
        .reconfigure(redirect, crate::bench::READY_WITHIN)
        .await
        .unwrap();
    let refused = async || {
        let links = impostors.node(&id("PT")).unwrap().status().await.unwrap().links;
        links
            .into_iter()
            .any(|link| link.member == "ES" && link.state != "connected" && !link.last_error.is_empty())
    };
    until("the impostor is refused", refused).await;

    let status = network.node(&id("ES")).unwrap().status().await.unwrap();
    assert!(status.serving);
    until("the real ones are linked all the same", async || {
        let links = network.node(&id("ES")).unwrap().status().await.unwrap().links;
        links
            .iter()
            .any(|link| link.member == "PT" && link.state == "connected")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_bundle_stops_the_links_and_health_says_so() {
    let mut network = running(quartet()).await;
    network.publish(time_of(4)).await.unwrap();
    until("the node stops serving", async || {
        let status = network.node(&id("WCO")).unwrap().status().await.unwrap();
        !status.serving && status.reasons.iter().any(|reason| reason.contains("expired"))
    })
    .await;
    until("nobody is linked any more", async || {
        let links = network.node(&id("WCO")).unwrap().status().await.unwrap().links;
        links.iter().all(|link| link.state != "connected")
    })
    .await;
    let home = network.node(&id("WCO")).unwrap().home();
    let said = text(&icomm().args(["doctor", "--home"]).arg(home).output().unwrap().stdout);
    assert!(said.contains("expired"), "{said}");

    // The next bundle brings everybody back.
    network.publish(time_of(24 * 60 * 60)).await.unwrap();
    until("the node serves again", async || {
        network.node(&id("WCO")).unwrap().status().await.unwrap().serving
    })
    .await;
}

fn time_of(seconds: i64) -> time::Duration {
    time::Duration::seconds(seconds)
}

#[test]
fn a_client_without_a_node_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let said = text(&ends_with(1, icomm().args(["status", "--home"]).arg(folder.path())).stderr);
    assert!(said.contains("no node in"), "{said}");
    let network = prepared(quartet());
    let home = network.node(&id("ES")).unwrap().home();
    let said = text(&ends_with(4, icomm().args(["status", "--home"]).arg(home)).stderr);
    assert!(said.contains("no node answers") && said.contains("icomm run"), "{said}");
}
