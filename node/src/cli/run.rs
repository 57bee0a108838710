//! `icomm run`: the node itself.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Context, Exit, Failure};
use crate::{
    api::Api,
    causes::chain,
    config::LogFormat,
    environment::Environment,
    node::{Node, StartError},
    observe,
};

/// Run the node: serve partners, the local API, metrics and health
#[derive(Debug, Args)]
#[command(after_help = "\
Runs in the foreground and writes its log to standard error; a service manager restarts it. SIGTERM and Ctrl-C let calls
and sessions finish, for `drain_seconds_max` at most. ICOMM_LOG overrides what is logged, for one run.

Example:
  icomm run
  ICOMM_LOG=info,icomm_node::link=debug icomm run --home /srv/icomm --log json")]
pub(super) struct Run {
    /// How log lines look, instead of what the settings say
    #[arg(long, value_enum)]
    log: Option<LogFormat>,
    /// Stop also when standard input closes: for a program that starts nodes and must leave none behind, even when it is
    /// killed itself
    #[arg(long)]
    stop_with_stdin: bool,
}

impl Run {
    pub(super) async fn run(self, context: &Context) -> Result<Exit, Failure> {
        let mut config = context.config()?;
        config.log.format = self.log.unwrap_or(config.log.format);
        observe::start_log(&config.log)?;
        let metrics = observe::start_metrics()?;
        let environment = Environment::system();
        // Before anything can take time: a signal during the start is not lost.
        let stop = stop_on_signals()?;
        if self.stop_with_stdin {
            stop_at_end_of_input(stop.clone());
        }

        let node = Node::open(config, environment.clone()).await.map_err(cannot_start)?;
        let api = Api::bind(&node, &environment, metrics)
            .await
            .map_err(|error| Failure::new(chain(&error)))?;
        let status = node.status();
        let listening: Vec<String> = node.listening().await.iter().map(ToString::to_string).collect();
        tracing::info!(
            member = status.member,
            node = status.node,
            role = status.role,
            version = status.version,
            bundle = status.bundle_version,
            links = listening.join(" "),
            api = %node.config().api.socket.display(),
            api_tls = api.tls_address().map(tracing::field::display),
            http = api.http_address().map(tracing::field::display),
            "serving"
        );
        for reason in &status.health.reasons {
            tracing::error!(reason, "not serving");
        }

        // Whichever ends first by itself takes the other with it.
        let (links, calls) = tokio::join!(
            async {
                let ended = node.run(stop.clone()).await;
                stop.cancel();
                ended
            },
            api.serve(stop.clone()),
        );
        calls.map_err(|error| Failure::new(chain(&error)))?;
        links.map_err(|error| Failure::new(chain(&error)))?;
        tracing::info!("stopped");
        Ok(Exit::Ok)
    }
}

/// A token that SIGTERM and Ctrl-C cancel. A second Ctrl-C ends the process at once.
fn stop_on_signals() -> Result<CancellationToken, Failure> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what is under way");
        token.cancel();
        interrupt.recv().await;
        tracing::warn!("stopped at once; what was under way is taken up again at the next start");
        std::process::exit(Exit::Interrupted as i32);
    });
    Ok(stop)
}

/// Cancels the token when nobody holds the other end of standard input any more; what is written there is not read for
/// anything.
fn stop_at_end_of_input(stop: CancellationToken) {
    // A thread of its own, since a read from standard input can't be cancelled and would hold up the runtime's end.
    std::thread::spawn(move || {
        let ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        tracing::info!(
            error = ended.err().map(tracing::field::display),
            "stopping: standard input was closed"
        );
        stop.cancel();
    });
}

/// Why a node can't start, with what to do about it.
fn cannot_start(error: StartError) -> Failure {
    let failure = Failure::new(format_args!("the node can't start: {}", chain(&error)));
    match error {
        StartError::Unreadable { .. } | StartError::Root { .. } | StartError::Credentials(_) => {
            failure.advice("`icomm doctor` checks every file; `icomm pki install` puts the authority's answer in place")
        }
        StartError::Bundle { .. } => {
            failure.advice("`icomm pki install ENROLMENT BUNDLE` with a current bundle from the authority")
        }
        StartError::ExposedKey { .. }
        | StartError::NoStoreKey { .. }
        | StartError::StoreKey { .. }
        | StartError::UnmadeKey { .. }
        | StartError::Overlay { .. }
        | StartError::CodeList(_)
        | StartError::Log(_)
        | StartError::Address(_)
        | StartError::External { .. }
        | StartError::Peer(_)
        | StartError::OpenStore(_)
        | StartError::Store(_)
        | StartError::Succession(_)
        | StartError::Links(_) => failure,
    }
}
