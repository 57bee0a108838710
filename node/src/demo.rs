//! `icomm demo`: a small network on this machine, with real processes, certificates, agreements and links.
//!
//! It is what a stranger types first, and what the end-to-end tests run: administrations, their liaison offices and the WCO
//! as separate processes; a file of cases that each administration imports its own rows of; a live view of who holds what;
//! one record as everybody sees it; and a verdict, because every view must verify and every count must add up.

mod cast;
mod eyes;
mod gist;
mod offices;
mod rejections;
mod screen;
mod table;

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use icomm_pki::MemberId;
use icomm_policy::agreement::Day;
use icomm_proto::codes::CodeLists;
use serde::Serialize;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use self::screen::Screen;
use crate::{
    cli::{Context, Exit, Failure, output::count},
    environment::Environment,
    intake::{
        Mapping, Unwatched,
        synthetic::{Form, Made, OTHER_GOODS_PER_MILLE, Synthetic},
    },
    network::{Folder, Network, Picture, Tally},
};

/// How often the live view is drawn anew.
const FRAME: Duration = Duration::from_millis(250);

/// How long everything may take to arrive after the last import.
const SETTLE_WITHIN: Duration = Duration::from_secs(300);

/// The mapping of the made-up cases.
const TEMPLATE: &str = "icomm-template";

/// Of a thousand made-up rows, those that can't become records.
const BAD_PER_MILLE: u64 = 10;

/// Of a thousand made-up rows, those of countries that take no part.
const FOREIGN_PER_MILLE: u64 = 20;

/// A small network on this machine: administrations, their liaison office and the WCO exchange a file of cases
#[derive(Debug, Args)]
#[command(after_help = "\
Every node is a process of its own with a folder of its own, on loopback. Without --records a file of made-up cases is
written, with some bad rows and some rows of countries that take no part. Without --keep nothing is left behind.
Exits with 0 only if every view verified and every count adds up.

Example:
  icomm demo
  icomm demo --members KE,UG,TZ --once
  icomm demo --members ES,PT,IT --records seizures.csv --mapping unodc-ids --once --json")]
pub(crate) struct Demo {
    /// The administrations, with commas; their liaison offices and the WCO join them
    #[arg(long, value_name = "ID,ID…", value_delimiter = ',', default_value = "ES,PT")]
    members: Vec<MemberId>,
    /// A file of cases (CSV, JSON Lines, XLSX); each administration imports its own rows [default: made-up cases]
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
    /// What the file's columns mean: a mapping that the program brings, or a mapping file
    #[arg(long, value_name = "NAME or FILE", requires = "records")]
    mapping: Option<String>,
    /// How many made-up cases
    #[arg(long, default_value_t = 3000, conflicts_with = "records", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rows: u32,
    /// Which made-up cases: the same seed gives the same file
    #[arg(long, default_value_t = 1, conflicts_with = "records")]
    seed: u64,
    /// Keep the nodes' folders here, in a new or empty folder, to look further
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// End after the picture, instead of staying up until Ctrl-C
    #[arg(long)]
    once: bool,
}

/// What is imported.
struct Input {
    file: PathBuf,
    mapping: Arc<Mapping>,
    /// What is in the file, where we made it.
    made: Option<Made>,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Verdict {
    #[serde(flatten)]
    picture: Picture,
    rows: u64,
    issued: u64,
    rejected: u64,
    foreign: u64,
    seconds: f64,
    /// What did not verify or add up, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
}

impl Demo {
    /// Plays the demo until it ends or somebody stops it.
    pub(crate) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut stop = Stop::listen()?;
        // Dropped half way, the network kills its processes and removes its folder.
        let (mut network, exit) = tokio::select! {
            played = self.play(context) => played?,
            () = stop.told() => return Ok(Exit::Interrupted),
        };
        if !self.once {
            stop.told().await;
        }
        network.stop().await?;
        Ok(exit)
    }

    /// From the plan to the verdict. The network is still up then.
    async fn play(&self, context: &Context) -> Result<(Network, Exit), Failure> {
        let environment = Environment::system();
        let json = context.output.is_json();
        let mut screen = if json {
            Screen::beside_a_program()
        } else {
            Screen::person()
        };
        let started = Instant::now();

        // Yesterday, so that no time zone and no clock makes it tomorrow.
        let since = Day::of(environment.unix_now().saturating_sub(24 * 60 * 60))?;
        let plan = cast::plan(&self.members, since)?;
        let folder = match &self.keep {
            Some(path) => Folder::kept(path)?,
            None => Folder::temporary(&environment)?,
        };
        let input = self.input(folder.path())?;
        for line in cast::introduction(&plan) {
            screen.say(&line)?;
        }
        screen.say(&format!(
            "starting {} nodes in `{}`: certificates by request, one process each",
            plan.members.len(),
            folder.path().display()
        ))?;
        let program = std::env::current_exe()?;
        let mut network = Network::prepare(plan, &program, folder, environment)?;
        network.start().await?;
        screen.say(&format!(
            "signing {} agreements, by every party's own node",
            network.plan().agreements.len()
        ))?;
        network.ratify().await?;
        screen.say(&format!(
            "importing `{}` by `{}`",
            input.file.display(),
            input.mapping.name()
        ))?;
        let (tally, rejections) = exchange(&network, &input, &mut screen).await?;
        let picture = network.picture(&tally).await?;

        let mut problems = tally.discrepancies();
        problems.extend(input.made.iter().flat_map(|made| unlike_made(made, &tally)));
        problems.extend(picture.discrepancies().iter().map(ToString::to_string));
        let exit = if problems.is_empty() { Exit::Ok } else { Exit::Failed };
        let seconds = (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        screen.clear()?;
        if json {
            let verdict = Verdict {
                picture,
                rows: tally.rows,
                issued: tally.issued,
                rejected: tally.rejected,
                foreign: tally.foreign,
                seconds,
                problems,
            };
            context.output.json(&serde_json::to_value(verdict)?)?;
        } else {
            screen.say(&format!("\n{}\n", table::full(&picture)))?;
            if let Some(record) = eyes::show(&network).await? {
                screen.say(&format!("{record}\n"))?;
            }
            screen.say(&conclusion(&tally, &rejections, seconds, &problems))?;
        }
        self.look_further(&network, &mut screen)?;
        if !self.once {
            screen.say("the nodes stay up until Ctrl-C")?;
        }
        Ok((network, exit))
    }

    /// The file to import, the mapping to read it by, and what is in it where we made it ourselves.
    fn input(&self, folder: &Path) -> Result<Input, Failure> {
        let lists = Arc::new(CodeLists::built_in());
        let name = self.mapping.as_deref().unwrap_or(TEMPLATE);
        let mapping = if Path::new(name).extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(name)
                .map_err(|error| Failure::new(format_args!("can't read the mapping `{name}`: {error}")))?;
            Mapping::parse(&text, &lists)?
        } else {
            Mapping::builtin(name, &lists)?
        };
        let mapping = Arc::new(mapping);
        let Some(records) = &self.records else {
            let file = folder.join("cases.csv");
            let made_up = Synthetic {
                form: Form::Short,
                members: self.members.clone(),
                rows: self.rows.into(),
                seed: self.seed,
                other_goods_per_mille: OTHER_GOODS_PER_MILLE,
                bad_per_mille: BAD_PER_MILLE,
                foreign_per_mille: FOREIGN_PER_MILLE,
            };
            let made = made_up.write(File::create(&file)?, &mapping)?;
            return Ok(Input {
                file,
                mapping,
                made: Some(made),
            });
        };
        if !records.is_file() {
            return Err(Failure::new(format_args!("there is no file `{}`", records.display())));
        }
        Ok(Input {
            file: records.clone(),
            mapping,
            made: None,
        })
    }

    fn look_further(&self, network: &Network, screen: &mut Screen) -> io::Result<()> {
        let (Some(_), [first, second, ..]) = (&self.keep, network.nodes()) else {
            return Ok(());
        };
        let (home, partner) = (first.home().display(), second.home().display());
        let log = format!("{}/{}", first.member().id, first.config().identity.log);
        let mut text = format!("to look further, in `{}`:", network.folder().display());
        if self.once {
            text += "\n  start a node again:     icomm run --home ";
            text += &format!("{home}");
        }
        text += &format!(
            "\n  who holds what:         icomm status --home {home}\
             \n  what a partner sees:    icomm record list {log} --home {partner}\
             \n  does it verify:         icomm log verify {log} --home {partner}\
             \n  under which basis:      icomm agreement list --home {home}\
             \n  what would a peer get:  icomm agreement explain RECORD {} --home {home}",
            second.member().id
        );
        screen.say(&text)
    }
}

/// Imports and shows what travels until everything has arrived. Gives the tally, and a few rejections as examples.
async fn exchange(network: &Network, input: &Input, screen: &mut Screen) -> Result<(Tally, Vec<String>), Failure> {
    let work = async {
        let mut tally = Tally::default();
        let stop = CancellationToken::new();
        let imports = network.import(&input.file, &input.mapping, &Unwatched, &stop).await?;
        tally.add(&imports);
        network.settle(SETTLE_WITHIN).await?;
        Ok::<_, Failure>((tally, rejections::examples(&imports)))
    };
    tokio::pin!(work);
    let mut frames = tokio::time::interval(FRAME);
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = frames.tick() => {
                let picture = network.glance().await?;
                screen.paint(&table::live(&picture), &table::line_of(&picture))?;
            }
        }
    }
}

/// Where the nodes count otherwise than the file was made.
fn unlike_made(made: &Made, tally: &Tally) -> Vec<String> {
    let good: u64 = made.good.values().sum();
    let bad: u64 = made.bad.values().sum::<u64>() + made.unattributed;
    [
        ("rows", made.rows, tally.rows),
        ("good rows", good, tally.issued),
        ("bad rows", bad, tally.rejected),
        ("rows of others", made.foreign, tally.foreign),
    ]
    .into_iter()
    .filter(|(_, made, counted)| made != counted)
    .map(|(what, made, counted)| format!("{made} {what} were made up and {counted} counted"))
    .collect()
}

/// The last lines for a person.
fn conclusion(tally: &Tally, rejections: &[String], seconds: f64, problems: &[String]) -> String {
    let Tally {
        rows,
        issued,
        rejected,
        foreign,
        ..
    } = tally;
    let mut text = format!(
        "{} rows: {} issued, {} rejected, {} of countries that take no part; {seconds:.1} s",
        count(*rows),
        count(*issued),
        count(*rejected),
        count(*foreign),
    );
    for rejection in rejections {
        text += &format!("\n  rejected, for example, {rejection}");
    }
    if problems.is_empty() {
        text += "\nevery view verified and every count adds up";
    }
    for problem in problems {
        text += &format!("\nPROBLEM: {problem}");
    }
    text
}

/// The signals by which the user or the system asks the program to end.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Stop {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns when one of them has come.
    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::Demo;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        demo: Demo,
    }

    fn parsed(line: &str) -> Result<Demo, String> {
        let words = std::iter::once("demo").chain(line.split_whitespace());
        Line::try_parse_from(words)
            .map(|line| line.demo)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_separated_by_commas() {
        let members = |line| {
            parsed(line)
                .unwrap()
                .members
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(members(""), ["ES", "PT"]);
        assert_eq!(members("--members KE,UG,TZ"), ["KE", "UG", "TZ"]);
        assert!(parsed("--members ke").unwrap_err().contains("ke"));
        assert!(parsed("--records a.csv --rows 5").is_err());
        assert!(parsed("--mapping unodc-ids").is_err());
        assert!(parsed("--rows 0").is_err());
    }
}
