//! The local API: how programs of this installation, and the command line, talk to the node.
//!
//! Two doors, the same gRPC services (`icomm.v1.Node`, `Audit`, `Parcels`, `Backups`, `Retention`, `Photos` and `Consents`, with reflection and the
//! standard health service): a Unix socket that only this user can open, and, if the settings name an address, TCP with mutual TLS for node
//! certificates of the same member.
//! Beside them a small HTTP server for Prometheus and health probes, in clear and therefore on loopback.
//!
//! ```text
//! icomm.sock ──┐                                   ┌─ icomm.v1.Node   (service), icomm.v1.Audit (audit)
//!              ├─ door ──▶ one tonic server ───────┼─ grpc.health.v1  (kept true by serve)
//! tls 7445 ────┘  (who?)   bounded                 └─ reflection
//! http 7480 ─────────────▶ /metrics  /health
//! ```

use std::{sync::Arc, time::Duration};

use icomm_proto::v1::{
    FILE_DESCRIPTOR_SET, audit_server::AuditServer, backups_server::BackupsServer, consents_server::ConsentsServer,
    node_server::NodeServer, parcels_server::ParcelsServer, photos_server::PhotosServer,
    retention_server::RetentionServer,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::{config::Config, environment::Environment, node::Node};

mod audit;
mod backups;
pub mod client;
mod consents;
pub(crate) mod convert;
mod door;
mod http;
mod meter;
mod parcels;
mod photos;
mod pieces;
mod preview;
mod refusal;
mod retention;
mod service;
pub mod sink;
mod watch;

pub use door::BindError;

/// How often the health service asks the node.
const HEALTH_CHECK: Duration = Duration::from_secs(1);
/// The full names of the services, as the health service knows them; the empty name stands for the whole process.
const SERVICES: [&str; 8] = [
    "",
    "icomm.v1.Node",
    "icomm.v1.Audit",
    "icomm.v1.Parcels",
    "icomm.v1.Backups",
    "icomm.v1.Retention",
    "icomm.v1.Photos",
    "icomm.v1.Consents",
];

/// Pause between HTTP/2 pings.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// Longest wait for the answer to a ping.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// Largest HTTP/2 header list, in bytes.
const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;
/// How often the recorder folds what histograms have gathered.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// The API's listeners, bound and not yet served.
pub struct Api {
    node: Node,
    doors: door::Doors,
    http: Option<http::Http>,
    metrics: PrometheusHandle,
}

/// Why the API stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("the API stopped")]
    Transport(#[source] tonic::transport::Error),
    /// The descriptors that the program was built with can't be read: our fault.
    #[error("the API's own description can't be read; this is a fault of icomm")]
    Reflection(#[source] tonic_reflection::server::Error),
}

impl Api {
    /// Binds every listener that the node's settings name.
    ///
    /// # Errors
    /// An address is taken or not allowed, the socket's path is too long, another process answers on it.
    pub async fn bind(node: &Node, environment: &Environment, metrics: PrometheusHandle) -> Result<Self, BindError> {
        let Config { api, http, .. } = node.config();
        let doors = door::Doors::bind(node, environment, api).await?;
        let http = match http.listen {
            Some(address) => Some(http::Http::bind(address).await?),
            None => None,
        };
        Ok(Self {
            node: node.clone(),
            doors,
            http,
            metrics,
        })
    }

    /// Where the HTTP server listens, if it does.
    pub fn http_address(&self) -> Option<std::net::SocketAddr> {
        self.http.as_ref().map(http::Http::address)
    }

    /// Where the mutual-TLS door listens, if it does.
    pub fn tls_address(&self) -> Option<std::net::SocketAddr> {
        self.doors.tls_address()
    }

    /// Serves until told to stop, then until every call has ended or the drain deadline has passed.
    ///
    /// # Errors
    /// The transport fails.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), ServeError> {
        let Self {
            node,
            doors,
            http,
            metrics,
        } = self;
        let config = node.config().clone();
        let (health, health_service) = tonic_health::server::health_reporter();
        let described = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let reflection = described().build_v1().map_err(ServeError::Reflection)?;
        // What Python's and older clients still ask by.
        let reflection_alpha = described().build_v1alpha().map_err(ServeError::Reflection)?;
        let bytes_max = config.api.message_bytes_max;
        let service = NodeServer::new(service::Service::new(node.clone(), stop.clone()))
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(bytes_max);
        let audit = AuditServer::new(audit::Service::new(node.clone(), stop.clone()))
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(bytes_max);

        let parcels = ParcelsServer::new(parcels::Service::new(node.clone()))
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(bytes_max);
        let retention = RetentionServer::new(retention::Service::new(node.clone()));
        let photos = PhotosServer::new(photos::Service::new(node.clone()))
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(bytes_max);

        let backups = BackupsServer::new(backups::Service::new(node.clone()))
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(bytes_max);

        let consents = ConsentsServer::new(consents::Service::new(node.clone()))
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(bytes_max);

        report(&health, &node).await;
        let beside = tokio::spawn(beside(node.clone(), health, http, metrics, stop.clone()));
        let incoming = doors.open(stop.clone());
        let serving = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
            .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
            .http2_max_pending_accept_reset_streams(Some(16))
            .http2_max_local_error_reset_streams(Some(64))
            .max_concurrent_streams(config.api.streams_max)
            .add_service(service)
            .add_service(audit)
            .add_service(parcels)
            .add_service(backups)
            .add_service(retention)
            .add_service(photos)
            .add_service(consents)
            .add_service(health_service)
            .add_service(reflection)
            .add_service(reflection_alpha)
            .serve_with_incoming_shutdown(incoming, stop.clone().cancelled_owned());
        let deadline = async {
            stop.cancelled().await;
            tokio::time::sleep(config.drain()).await;
        };
        let served = tokio::select! {
            served = serving => served.map_err(ServeError::Transport),
            () = deadline => {
                tracing::warn!("calls were still open at the drain deadline and are cut off");
                Ok(())
            }
        };
        // Only if serving ended by itself is there something left to stop.
        stop.cancel();
        drop(beside.await);
        served
    }
}

/// What goes on beside the calls: health kept true, metrics folded, HTTP served.
async fn beside(
    node: Node,
    health: HealthReporter,
    http: Option<http::Http>,
    metrics: PrometheusHandle,
    stop: CancellationToken,
) {
    let http = http.map(|http| tokio::spawn(http.serve(Arc::new(node.clone()), metrics.clone(), stop.clone())));
    let mut check = tokio::time::interval(HEALTH_CHECK);
    let mut upkeep = tokio::time::interval(METRICS_UPKEEP);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = check.tick() => report(&health, &node).await,
            _ = upkeep.tick() => metrics.run_upkeep(),
        }
    }
    tell(&health, ServingStatus::NotServing).await;
    if let Some(http) = http {
        drop(http.await);
    }
}

/// Health that tells the truth: not serving while keys, bundle or store fail.
async fn report(reporter: &HealthReporter, node: &Node) {
    let status = if node.health().serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    tell(reporter, status).await;
}

async fn tell(reporter: &HealthReporter, status: ServingStatus) {
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}

#[cfg(test)]
mod tests;
