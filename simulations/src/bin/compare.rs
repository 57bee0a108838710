//! `compare`: icomm beside its peers and the machine's limits, on the same rows in the same run.
//!
//! Called by the name `icomm` it is the node itself, so that one build makes all that a run needs.

use std::{
    env, fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use icomm_node::{environment::Environment, network::Folder};
use icomm_simulations::compare::{
    fleet, goals,
    growth::Curve,
    machine,
    outcome::Outcome,
    picture,
    rounds::{self, Watcher},
    rows::{self, Form},
    scale::Scale,
    table,
    workload::{Bench, Workload},
    workloads,
};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};

/// The name under which this program is the node.
const NODE: &str = "icomm";

/// Measure icomm beside PostgreSQL's logical replication, NATS JetStream and the machine's own limits, on the same rows
#[derive(Parser)]
#[command(after_help = "\
Workloads, in the order in which they run: import, catch-up, streaming, single-commits, latency, hub, root, reconnect,
policy, verify, footprint, carriers. All of them run when none is named.

A peer that is not installed is reported absent, and icomm runs alone: `apt-get install postgresql-15 nats-server` brings
both. Nothing of an installed server is touched: each runs in a folder of its own, on free ports of loopback, and goes away
with the run. Root is not needed; as root PostgreSQL runs as the user `postgres`.

Figures are medians over rounds in which the contestants take turns. Compare ratios, not rates: other work on the machine
makes every rate smaller. Run it with --release; a debug build measures nothing.

Example:
  cargo run --release -p icomm-simulations --bin compare -- --quick
  cargo run --release -p icomm-simulations --bin compare -- catch-up latency --rounds 9 --json
  cargo run --release -p icomm-simulations --bin compare -- --growth policy reconnect")]
struct Arguments {
    /// Workloads to run; all when none is named
    #[arg(value_name = "WORKLOAD")]
    workloads: Vec<String>,
    /// A few minutes instead of the better part of an hour: smaller sizes, three rounds
    #[arg(long, conflicts_with = "scale")]
    quick: bool,
    /// How large a run is
    #[arg(long, value_enum, default_value = "full")]
    scale: Scale,
    /// Rounds of each contestant [default: 5, 3 when quick, 1 when tiny]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: Option<u16>,
    /// What a case is like, for everybody alike
    #[arg(long, value_enum, value_name = "FORM", default_value = "long")]
    rows: Form,
    /// Instead of comparing, run icomm alone at three sizes a decade apart and print how its cost grows
    #[arg(long)]
    growth: bool,
    /// Leave the peers out
    #[arg(long)]
    alone: bool,
    /// Print JSON: an object from workload to `{icomm, peers: {name: {value, ratio}}, unit, cpu_us_per_record, …}`
    #[arg(long)]
    json: bool,
    /// Write a picture of the ratios here, as SVG
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    /// Run in this new or empty folder, on the disk to be measured, and keep it [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    // One provider for the whole process, named explicitly: with two in the tree rustls would refuse to choose.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        eprintln!("error: another TLS provider is already installed in this process");
        return ExitCode::FAILURE;
    }
    let program = env::args_os().next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_name);
    if name.is_some_and(|name| name == NODE) {
        return icomm_node::cli::main();
    }
    let result = match name.is_some_and(|name| name == fleet::PROGRAM) {
        true => fleet::run(env::args_os().skip(1).map(PathBuf::from)),
        false => run(&Arguments::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let chosen = chosen(&arguments.workloads)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            result = measure(arguments, &chosen) => result,
            // What runs is dropped, and with it every server and every folder.
            result = stopped() => result.map_err(Into::into).and_then(|()| anyhow::bail!("interrupted")),
        }
    })
}

/// Waits until we are told to stop: from the terminal, or by whoever gave us only so much time.
async fn stopped() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Workload>> {
    let known = || {
        workloads::ALL
            .iter()
            .map(|workload| workload.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    for name in names {
        let found = workloads::ALL.iter().any(|workload| workload.name == name);
        anyhow::ensure!(found, "there is no workload `{name}`; there are: {}", known());
    }
    let wanted = |workload: &&Workload| names.is_empty() || names.iter().any(|name| name == workload.name);
    Ok(workloads::ALL.iter().filter(wanted).collect())
}

async fn measure(arguments: &Arguments, chosen: &[&'static Workload]) -> anyhow::Result<()> {
    let scale = if arguments.quick { Scale::Quick } else { arguments.scale };
    if cfg!(debug_assertions) {
        eprintln!("warning: a debug build; its figures mean nothing (use `cargo run --release`)");
    }
    let folder = match &arguments.folder {
        Some(path) => Folder::kept(path)?,
        None => Folder::temporary(&Environment::system())?,
    };
    let program = folder.path().join(NODE);
    symlink(env::current_exe()?, &program)?;
    let bench = Bench {
        program,
        folder: folder.path().to_owned(),
        scale,
        size: 0,
        form: arguments.rows,
        peers: !arguments.growth && !arguments.alone,
    };
    let watcher = Screen::new();
    if arguments.growth {
        let rounds = arguments.rounds.map_or(1, usize::from);
        let curves = grow(chosen, &bench, rounds, &watcher).await?;
        watcher.clear();
        print_growth(&curves, arguments.json)?;
        let steep = curves
            .iter()
            .filter(|curve| curve.slope().is_some_and(|slope| slope > curve.allowed()));
        let steep: Vec<&str> = steep.map(|curve| curve.workload.name).collect();
        anyhow::ensure!(steep.is_empty(), "cost grows more than it may: {}", steep.join(", "));
        return Ok(());
    }
    let rounds = arguments.rounds.map_or(scale.rounds(), usize::from);
    let mut outcomes = Vec::with_capacity(chosen.len());
    for workload in chosen {
        let bench = Bench {
            size: workload.sizes.at(scale),
            ..bench.clone()
        };
        outcomes.push(rounds::run(workload, &bench, rounds, &watcher).await?);
    }
    watcher.clear();
    if let Some(path) = &arguments.picture {
        let drawn = picture::draw(&outcomes);
        fs::write(path, drawn).with_context(|| format!("`{}` can't be written", path.display()))?;
    }
    print(&outcomes, arguments.rows, arguments.json)
}

fn print(outcomes: &[Outcome], form: Form, json: bool) -> anyhow::Result<()> {
    let verdicts = goals::judge(outcomes);
    if json {
        let object: serde_json::Map<_, _> = outcomes
            .iter()
            .map(|outcome| (outcome.workload.name.to_owned(), outcome.to_json()))
            .collect();
        println!("{}", serde_json::to_string_pretty(&object)?);
        return Ok(());
    }
    println!("{}\n", table::outcomes(outcomes));
    for figures in outcomes.iter().filter_map(table::figures) {
        println!("{figures}\n");
    }
    if !verdicts.is_empty() {
        println!("{}\n", table::goals(&verdicts));
    }
    println!("{}\n", table::notes(outcomes));
    println!("Rows: {} form", rows::name(form));
    println!("Machine: {}", machine::describe());
    Ok(())
}

async fn grow(
    chosen: &[&'static Workload],
    bench: &Bench,
    rounds: usize,
    watcher: &Screen,
) -> anyhow::Result<Vec<Curve>> {
    let mut curves = Vec::with_capacity(chosen.len());
    for workload in chosen {
        let mut points = Vec::new();
        for size in Curve::sizes(workload.sizes.at(bench.scale)) {
            let bench = Bench { size, ..bench.clone() };
            let outcome = rounds::run(workload, &bench, rounds, watcher).await?;
            let measured = outcome.icomm().context("icomm took no part")?;
            let cost = Curve::cost(workload, size, measured);
            points.push((size, cost.context("the figure by which growth is told is missing")?));
        }
        curves.push(Curve {
            workload: **workload,
            points,
        });
    }
    Ok(curves)
}

fn print_growth(curves: &[Curve], json: bool) -> anyhow::Result<()> {
    if json {
        let object: serde_json::Map<_, _> = curves
            .iter()
            .map(|curve| {
                let value = serde_json::json!({
                    "points": curve.points, "slope": curve.slope(), "at_most": curve.allowed(),
                    "counts": curve.workload.counts,
                });
                (curve.workload.name.to_owned(), value)
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&object)?);
    } else {
        println!("{}", table::growth(curves));
    }
    Ok(())
}

/// A line on the terminal that says what is under way; nothing where there is no terminal.
struct Screen(ProgressBar);

impl Screen {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Watcher for Screen {
    fn begins(&self, workload: &str, contestant: &str, round: usize, of: usize) {
        self.0.set_message(match round {
            0 => format!("{workload}: setting up"),
            round => format!("{workload}: {contestant}, round {round} of {of}"),
        });
    }
}
