//! The operators' way, with commands alone: authorities, enrolment, settings, agreements, import, what a partner sees.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::bench::{ends_with, icomm, text};

/// A node that is killed when the test ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `icomm` with this line in the folder; ends with 0.
    fn does(&self, line: &str) -> String {
        self.ends(0, line)
    }

    fn ends(&self, code: i32, line: &str) -> String {
        let mut command = icomm();
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        let output = ends_with(code, &mut command);
        if code == 0 {
            text(&output.stdout)
        } else {
            text(&output.stderr)
        }
    }

    fn runs(&self, home: &str) -> Running {
        let log = fs::File::create(self.path(&format!("{home}.log"))).unwrap();
        let mut command = icomm();
        command
            .current_dir(self.folder.path())
            .args(["run", "--home", home])
            .stdout(Stdio::null())
            .stderr(log);
        let running = Running(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut command = icomm();
            command
                .current_dir(self.folder.path())
                .args(["status", "--json", "--home", home]);
            let output = command.output().unwrap();
            if output.status.success() {
                let status: Value = serde_json::from_slice(&output.stdout).unwrap();
                if status["serving"] == true {
                    return running;
                }
            }
            let log = || fs::read_to_string(self.path(&format!("{home}.log"))).unwrap();
            assert!(
                Instant::now() < deadline,
                "{home} does not serve: {}{}",
                text(&output.stderr),
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn write(path: &Path, content: &str) {
    fs::write(path, content).unwrap();
}

const CASES: &str = "administration,short_form,report_type,handling_code,seizure_date,seizure_country,conveyance_type,\
goods_1_category,goods_1_kind,goods_1_quantity,goods_1_unit,person_1_role,person_1_family_name
KE,yes,seizure,H0,2026-11-02,KE,commercial-air,drugs,heroin,12.5,KGM,courier,Synth-Mwangi
KE,yes,seizure,H0,2026-11-02,KE,commercial-air,drugs,heroin,12.5,KGM,courier,Synth-Mwangi
KE,yes,seizure,H0,2026-13-02,KE,commercial-air,drugs,heroin,12.5,KGM,courier,Synth-Otieno
UG,yes,seizure,H0,2026-11-03,UG,commercial-air,drugs,heroin,1,KGM,courier,Synth-Okello
";

#[test]
fn two_administrations_join_agree_and_exchange() {
    let place = Place {
        folder: tempfile::tempdir().unwrap(),
    };
    let [ke, ug, esa, wco] = std::array::from_fn(|_| free_port());
    let domain = "--trust-domain demo.icomm.example";
    place.does(&format!("pki root --authority root-ca --member WCO {domain}"));
    place.does(&format!("pki region --authority esa-ca --member RILO-ESA {domain}"));
    place.does("pki issue-region esa-ca/public/request.pem --authority root-ca --members KE UG --out chain.pem");
    place.does("pki region --authority esa-ca --chain chain.pem");
    for (home, member, authority, role, region, port) in [
        ("wco", "WCO", "root-ca", "global", "", wco),
        ("esa", "RILO-ESA", "root-ca", "regional", "", esa),
        ("ke", "KE", "esa-ca", "national", "--region RILO-ESA", ke),
        ("ug", "UG", "esa-ca", "national", "--region RILO-ESA", ug),
    ] {
        place.does(&format!(
            "init --home {home} --member {member} --node gw1 {domain} --tls 127.0.0.1:{port}"
        ));
        place.does(&format!(
            "pki issue {home}/identity/request.pem --authority {authority} --role {role} {region} \
             --address tls://127.0.0.1:{port} --out {home}.pem"
        ));
    }
    place.does("pki bundle --authority root-ca --home wco --include esa-ca/public --out bundle.json");
    for home in ["wco", "esa", "ke", "ug"] {
        place.does(&format!("pki install {home}.pem bundle.json --home {home}"));
    }
    let _nodes = ["wco", "esa", "ke", "ug"].map(|home| place.runs(home));
    place.does("doctor --home ke");

    // The text goes from one to the other as a file, and counts only when both have signed it.
    place.does("agreement draft ke-ug --between KE UG --from 2026-01-01 --out ke-ug.toml");
    place.does("agreement sign ke-ug.toml --out half.json --home ke");
    let refused = place.ends(1, "agreement accept half.json --home ke");
    assert!(refused.contains("not signed by `UG`"), "{refused}");
    place.does("agreement sign half.json --out both.json --home ug");
    place.does("agreement accept both.json --home ke");
    place.does("agreement accept both.json --home ug");

    write(&place.path("cases.csv"), CASES);
    let dry = place.ends(
        3,
        "record import cases.csv --mapping icomm-template --others UG --dry-run --home ke",
    );
    assert!(!dry.contains("Synth-"), "no record content among the messages: {dry}");
    let listed = place.does("record list --json --home ke");
    assert_eq!(listed.lines().count(), 0, "a dry run issues nothing");
    let line = "record import cases.csv --mapping icomm-template --others UG --report bad.jsonl --home ke";
    place.ends(3, line);
    let report = fs::read_to_string(place.path("bad.jsonl")).unwrap();
    let bad: Value = serde_json::from_str(report.lines().next().unwrap()).unwrap();
    assert_eq!(bad["line"], 4);
    assert_eq!(bad["faults"][0]["column"], "seizure_date");
    assert_eq!(bad["faults"][0]["value"], "2026-13-02");
    place.ends(3, line);
    let own: Vec<Value> = json_lines(&place.does("record list --json --home ke"));
    assert_eq!(own.len(), 2, "imported twice, issued once");

    let record = own[0]["record_id"].as_str().unwrap();
    let explained: Value =
        serde_json::from_str(&place.does(&format!("agreement explain {record} UG --json --home ke"))).unwrap();
    assert_eq!(explained["permitted"], true, "{explained}");
    let deadline = Instant::now() + Duration::from_secs(30);
    while json_lines(&place.does("log list --json --home ug"))
        .iter()
        .all(|log| log["origin"] != "KE/main" || log["entries"] != 2)
    {
        assert!(
            Instant::now() < deadline,
            "nothing arrives: {}",
            place.does("link list --home ug")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let seen: Value = serde_json::from_str(
        place
            .does(&format!("record get {record} --json --home ug"))
            .lines()
            .next()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(seen["record"]["persons"]["persons"][0]["family_name"], "Synth-Mwangi");
    assert_eq!(seen["verified"], true);
    place.does("log verify KE/main --home ug");
    // The root has no agreement with anybody here.
    assert!(
        json_lines(&place.does("log list --json --home wco"))
            .iter()
            .all(|log| log["origin"] != "KE/main")
    );
    place.ends(1, &format!("record get {record} --home wco"));
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
