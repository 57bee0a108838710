//! A folder in which an operator works with commands alone, and the network that is founded there.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::bench::{ends_with, icomm, text};

/// A node that is killed when the test ends.
pub(crate) struct Running(Child);

impl Running {
    /// Lets it stop as an operator would.
    pub(crate) fn stop(mut self) {
        let mut kill = Command::new("kill");
        ends_with(0, kill.arg("-TERM").arg(self.0.id().to_string()));
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `esa` for `RILO-ESA`.
pub(crate) fn home_of(member: &str) -> String {
    member.trim_start_matches("RILO-").to_lowercase()
}

pub(crate) struct Place {
    folder: tempfile::TempDir,
    environment: Vec<(&'static str, PathBuf)>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            environment: Vec::new(),
        }
    }

    /// Whatever runs here from now on sees this variable.
    pub(crate) fn set(&mut self, variable: &'static str, value: PathBuf) {
        self.environment.push((variable, value));
    }

    /// WCO, RILO-ESA, and KE and UG in its region: authorities, certificates, bundle, and nodes that run.
    pub(crate) fn found(&self) -> [Running; 4] {
        self.set_up();
        ["wco", "esa", "ke", "ug"].map(|home| self.runs(home))
    }

    /// The same, but that nobody runs yet.
    pub(crate) fn set_up(&self) {
        self.set_up_with_ke("");
    }

    /// The same, with these options to KE's `icomm init`.
    pub(crate) fn set_up_with_ke(&self, of_ke: &str) {
        self.set_up_regions(&[("RILO-ESA", &["KE", "UG"])], of_ke);
    }

    /// WCO, and these offices with the members of their regions; homes and authorities are called as [`home_of`] says.
    pub(crate) fn set_up_regions(&self, regions: &[(&str, &[&str])], of_ke: &str) {
        let domain = "--trust-domain demo.icomm.example";
        self.does(&format!("pki root --authority root-ca --member WCO {domain}"));
        self.enrol("WCO", "root-ca", "--role global", domain);
        let (mut include, mut members) = (String::new(), vec!["WCO"]);
        for (office, nationals) in regions {
            let ca = format!("{}-ca", home_of(office));
            self.does(&format!("pki region --authority {ca} --member {office} {domain}"));
            self.does(&format!(
                "pki issue-region {ca}/public/request.pem --authority root-ca --members {} --out {ca}.pem",
                nationals.join(" ")
            ));
            self.does(&format!("pki region --authority {ca} --chain {ca}.pem"));
            self.enrol(office, "root-ca", "--role regional", domain);
            for member in *nationals {
                let options = if *member == "KE" { of_ke } else { "" };
                let role = format!("--role national --region {office}");
                self.enrol(member, &ca, &role, &format!("{domain} {options}"));
            }
            include += &format!(" --include {ca}/public");
            members.push(office);
            members.extend(*nationals);
        }
        self.does(&format!(
            "pki bundle --authority root-ca --home wco{include} --out bundle.json"
        ));
        for home in members.into_iter().map(home_of) {
            self.does(&format!("pki install {home}.pem bundle.json --home {home}"));
        }
    }

    fn enrol(&self, member: &str, authority: &str, role: &str, options: &str) {
        let (home, port) = (home_of(member), free_port());
        self.does(&format!(
            "init --home {home} --member {member} --node gw1 --tls 127.0.0.1:{port} {options}"
        ));
        self.does(&format!(
            "pki issue {home}/identity/request.pem --authority {authority} {role} \
             --address tls://127.0.0.1:{port} --out {home}.pem"
        ));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn icomm(&self) -> Command {
        let mut command = icomm();
        command
            .current_dir(self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `icomm` with this line in the folder; ends with 0.
    pub(crate) fn does(&self, line: &str) -> String {
        self.ends(0, line)
    }

    pub(crate) fn ends(&self, code: i32, line: &str) -> String {
        let mut command = self.icomm();
        command.args(line.split_whitespace());
        let output = ends_with(code, &mut command);
        if code == 0 {
            text(&output.stdout)
        } else {
            text(&output.stderr)
        }
    }

    /// What it answers on standard output, ending with this code.
    pub(crate) fn ends_saying(&self, code: i32, line: &str) -> String {
        let mut command = self.icomm();
        command.args(line.split_whitespace());
        text(&ends_with(code, &mut command).stdout)
    }

    /// What it answers on standard output, however it ends.
    pub(crate) fn says_anyhow(&self, line: &str) -> String {
        let output = self.icomm().args(line.split_whitespace()).output().unwrap();
        text(&output.stdout)
    }

    /// All that it says while it fails, with whichever code.
    pub(crate) fn failing(&self, line: &str) -> String {
        let output = self.icomm().args(line.split_whitespace()).output().unwrap();
        let said = text(&output.stdout) + &text(&output.stderr);
        assert!(!output.status.success(), "{line}: {said}");
        said
    }

    /// Has the agreement of this draft signed and adopted at all these homes.
    pub(crate) fn agreed(&self, draft: &str, homes: &[&str]) {
        let mut file = format!("{draft}.toml");
        for home in homes {
            let signed = format!("{draft}-{home}.json");
            self.does(&format!("agreement sign {file} --out {signed} --home {home}"));
            file = signed;
        }
        for home in homes {
            self.does(&format!("agreement accept {file} --home {home}"));
        }
    }

    /// A node that serves.
    pub(crate) fn runs(&self, home: &str) -> Running {
        self.run(home, |status| status["serving"] == true)
    }

    /// A node that answers, whether it can do its duty or not.
    pub(crate) fn starts(&self, home: &str) -> Running {
        self.run(home, |_| true)
    }

    fn run(&self, home: &str, well: fn(&Value) -> bool) -> Running {
        let log = fs::File::create(self.path(&format!("{home}.log"))).unwrap();
        let mut command = self.icomm();
        command.args(["run", "--home", home]).stdout(Stdio::null()).stderr(log);
        let running = Running(command.spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let mut command = self.icomm();
            command.args(["status", "--json", "--home", home]);
            let output = command.output().unwrap();
            // Who is not well answers too, with another exit code.
            if !output.stdout.is_empty() {
                let status: Value = serde_json::from_slice(&output.stdout).unwrap();
                if well(&status) {
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

/// Waits until something is so, a minute at most.
pub(crate) fn until(what: &str, done: impl FnMut() -> bool) {
    assert!(within_a_minute(done), "{what}");
}

/// Whether something comes to be so within a minute.
pub(crate) fn within_a_minute(mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    true
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) const CASES: &str =
    "administration,short_form,report_type,handling_code,seizure_date,seizure_country,conveyance_type,\
goods_1_category,goods_1_kind,goods_1_quantity,goods_1_unit,person_1_role,person_1_family_name
KE,yes,seizure,H0,2026-11-02,KE,commercial-air,drugs,heroin,12.5,KGM,courier,Synth-Mwangi
KE,yes,seizure,H0,2026-11-02,KE,commercial-air,drugs,heroin,12.5,KGM,courier,Synth-Mwangi
KE,yes,seizure,H0,2026-13-02,KE,commercial-air,drugs,heroin,12.5,KGM,courier,Synth-Otieno
UG,yes,seizure,H0,2026-11-03,UG,commercial-air,drugs,heroin,1,KGM,courier,Synth-Okello
";

pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
