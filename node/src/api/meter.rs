//! Each call counted, timed and, when it fails by our own fault, logged.

use tokio::time::Instant;
use tonic::{Code, Response, Status};

/// Runs the body of a call.
pub(super) async fn observed<T>(
    method: &'static str,
    call: impl Future<Output = Result<T, Status>>,
) -> Result<Response<T>, Status> {
    let start = Instant::now();
    let result = call.await;
    let code = result.as_ref().map_or_else(Status::code, |_| Code::Ok);
    metrics::counter!("icomm_api_calls_total", "method" => method, "code" => name(code)).increment(1);
    metrics::histogram!("icomm_api_call_seconds", "method" => method).record(start.elapsed().as_secs_f64());
    if let Err(status) = &result
        && matches!(code, Code::Internal | Code::DataLoss | Code::Unknown)
    {
        tracing::error!(method, code = name(code), message = status.message(), "call failed");
    }
    result.map(Response::new)
}

/// The code as gRPC's own documentation spells it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
