//! What every story needs: the program, a network of it, files, and a way to run commands.

// Written past the capture of test output: a test that did not run says so.
use std::io::Write as _;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use icomm_node::{
    environment::Environment,
    intake::{Mapping, Unwatched},
    network::{
        Basis, Folder, Imported, Member, Network, Plan, Reach, Region, Tally,
        terms::{self, Exchange},
    },
};
use icomm_pki::{MemberId, Role};
use icomm_policy::agreement::{Agreement, Day};
use icomm_proto::codes::CodeLists;
use tokio_util::sync::CancellationToken;

/// How long everything may take to arrive.
pub(crate) const SETTLE_WITHIN: Duration = Duration::from_secs(240);

/// How long a node may take until it serves.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(60);

/// The program under test.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_icomm-under-test"))
}

/// A command of it, with nothing inherited that could change what it does.
pub(crate) fn icomm() -> Command {
    let mut command = Command::new(program());
    command.env_remove("ICOMM_HOME").env_remove("SSLKEYLOGFILE");
    command
}

/// Runs a command to its end, and shows what it said when it ends otherwise than expected.
pub(crate) fn ends_with(expected: i32, command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(expected),
        "{command:?}\nstdout: {}\nstderr: {}",
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn id(member: &str) -> MemberId {
    member.parse().unwrap()
}

/// Long enough ago that every agreement of the tests is in force.
pub(crate) fn since() -> Day {
    "2026-01-01".parse().unwrap()
}

/// A file of the public data beside the project, or a line that says why the test passes itself over.
pub(crate) fn shared_data(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    if path.exists() {
        return Some(path);
    }
    let _ = writeln!(std::io::stderr(), "skipped: `{}` is not there", path.display());
    None
}

/// The folder below the target folder where `tests/setup` puts foreign clients.
pub(crate) fn foreign(what: &str) -> Option<PathBuf> {
    // target/<profile>/icomm-under-test
    let target = program().parent().and_then(Path::parent).unwrap();
    let path = target.join("foreign").join(what);
    if path.exists() {
        return Some(path);
    }
    let _ = writeln!(
        std::io::stderr(),
        "skipped: `{}` is not there; `tests/setup` makes it",
        path.display()
    );
    None
}

pub(crate) fn national(member: &str, offices: &[(&str, Basis)]) -> Member {
    let regions = offices.iter().map(|(office, basis)| Region {
        office: id(office),
        basis: *basis,
    });
    Member {
        id: id(member),
        role: Role::National,
        regions: regions.collect(),
        reach: Reach::Tls,
    }
}

pub(crate) fn office(member: &str) -> Member {
    Member {
        role: Role::Regional,
        ..national(member, &[])
    }
}

pub(crate) fn root() -> Member {
    Member {
        role: Role::Global,
        ..national("WCO", &[])
    }
}

pub(crate) fn plan(members: Vec<Member>, agreements: Vec<Agreement>) -> Plan {
    Plan {
        trust_domain: "test.icomm.example".parse().unwrap(),
        members,
        agreements,
    }
}

/// Two administrations of one region, their office and the root, with the agreements between them.
pub(crate) fn quartet() -> Plan {
    let (es, pt, rilo, wco) = (id("ES"), id("PT"), id("RILO-WE"), id("WCO"));
    let nominal = Exchange::nominal;
    plan(
        vec![
            national("ES", &[("RILO-WE", Basis::Inferred)]),
            national("PT", &[("RILO-WE", Basis::Inferred)]),
            office("RILO-WE"),
            root(),
        ],
        vec![
            terms::bilateral(&es, &pt, nominal(), nominal(), since()).unwrap(),
            terms::regional(&rilo, &[es.clone(), pt.clone()], since()).unwrap(),
            terms::upstream(&rilo, &wco, since()).unwrap(),
        ],
    )
}

/// A network's folders, certificates and settings; nothing runs yet.
pub(crate) fn prepared(plan: Plan) -> Network {
    let environment = Environment::system();
    let folder = Folder::temporary(&environment).unwrap();
    Network::prepare(plan, program(), folder, environment).unwrap()
}

/// A network that runs under its agreements.
pub(crate) async fn running(plan: Plan) -> Network {
    let mut network = prepared(plan);
    network.start().await.unwrap_or_else(|error| panic!("{}", told(&error)));
    network
        .ratify()
        .await
        .unwrap_or_else(|error| panic!("{}", told(&error)));
    network
}

/// An error with its causes.
pub(crate) fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

pub(crate) fn mapping(name: &str) -> Arc<Mapping> {
    let lists = Arc::new(CodeLists::built_in());
    Arc::new(Mapping::builtin(name, &lists).unwrap())
}

/// Imports a file at every administration, and adds it to the tally.
pub(crate) async fn import(network: &Network, file: &Path, mapping: &Arc<Mapping>, tally: &mut Tally) -> Vec<Imported> {
    let stop = CancellationToken::new();
    let imports = network.import(file, mapping, &Unwatched, &stop).await;
    let imports = imports.unwrap_or_else(|error| panic!("{}", told(&error)));
    tally.add(&imports);
    imports
}

/// Waits until everything has arrived that may.
pub(crate) async fn settled(network: &Network) {
    network
        .settle(SETTLE_WITHIN)
        .await
        .unwrap_or_else(|error| panic!("{}", told(&error)));
}

/// Polls until something holds; what it was waiting for is the message when it never does.
pub(crate) async fn until<F>(what: &str, mut holds: impl FnMut() -> F)
where
    F: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + READY_WITHIN;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
