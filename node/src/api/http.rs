//! `/metrics` for Prometheus and `/health` for probes, over HTTP/1.1 in clear.
//!
//! Nothing here tells anything about records; it is still meant for loopback. A connection lives a minute at most, so a
//! slow or silent one costs little.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router, extract::State, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse, routing::get,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
    service::TowerToHyperService,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

use super::door::{BindError, bind_tcp};
use crate::node::Node;

/// The longest life of a connection.
const CONNECTION_MAX: Duration = Duration::from_secs(60);
/// Connections at the same time.
const CONNECTIONS_MAX: usize = 64;
/// Pause after the system could not give us a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bound HTTP server.
pub(super) struct Http {
    listener: TcpListener,
    address: SocketAddr,
}

#[derive(Clone)]
struct Shown {
    node: Arc<Node>,
    metrics: PrometheusHandle,
}

impl Http {
    pub(super) async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let listener = bind_tcp("http.listen", address).await?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Self { listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) async fn serve(self, node: Arc<Node>, metrics: PrometheusHandle, stop: CancellationToken) {
        let router = Router::new()
            .route("/metrics", get(show_metrics))
            .route("/health", get(show_health))
            .with_state(Shown { node, metrics });
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(permit) = connections.clone().acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = self.listener.accept() => accepted,
            };
            let Ok((tcp, _)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let service = TowerToHyperService::new(router.clone());
            tokio::spawn(async move {
                let builder = Builder::new(TokioExecutor::new()).http1_only();
                // How a probe's connection ends concerns nobody.
                drop(tokio::time::timeout(CONNECTION_MAX, builder.serve_connection(TokioIo::new(tcp), service)).await);
                drop(permit);
            });
        }
    }
}

async fn show_metrics(State(shown): State<Shown>) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        shown.metrics.render(),
    )
}

/// 200 while serving, 503 with the reasons while not.
async fn show_health(State(shown): State<Shown>) -> impl IntoResponse {
    let health = shown.node.health();
    let code = if health.serving {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, Json(health))
}
