//! What a comparison needs of JetStream's API: JSON requests to well-known subjects.

use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::client::{Answer, Arrival, Client};

/// How long a call of the API may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A server's JetStream.
pub(super) struct Jetstream {
    client: Client,
    prefix: String,
}

/// What is read of an answer. Fields that are not here are of no use to us.
#[derive(Deserialize)]
struct Reply {
    error: Option<Refusal>,
    state: Option<State>,
}

#[derive(Deserialize)]
struct Refusal {
    description: String,
}

#[derive(Deserialize)]
struct State {
    messages: u64,
}

/// A publication under way.
pub(super) struct Stored(Answer);

impl Stored {
    /// Waits until the server has stored it: in its file, which it does not sync.
    pub(super) async fn done(self) -> anyhow::Result<()> {
        reply(&self.0.await?).map(drop)
    }
}

impl Jetstream {
    /// The JetStream of the server that `client` is connected to, or, if a `domain` is given, of another that this one has a
    /// leaf node link with.
    pub(super) fn new(client: Client, domain: Option<&str>) -> Self {
        let prefix = domain.map_or_else(|| "$JS.API".to_owned(), |domain| format!("$JS.{domain}.API"));
        Self { client, prefix }
    }

    /// Whether it answers at all.
    pub(super) async fn answers(&self) -> bool {
        self.call("INFO", &Value::Null).await.is_ok()
    }

    /// Makes a stream, in a file, of all that is published under `subject`.
    pub(super) async fn create(&self, stream: &str, subject: &str) -> anyhow::Result<()> {
        let settings = json!({ "name": stream, "subjects": [subject], "storage": "file", "retention": "limits" });
        self.call(&format!("STREAM.CREATE.{stream}"), &settings).await.map(drop)
    }

    /// Makes a stream, in a file, that takes over everything from `origin`, a stream in another domain.
    pub(super) async fn mirror(&self, stream: &str, origin: &str, domain: &str) -> anyhow::Result<()> {
        let external = json!({ "api": format!("$JS.{domain}.API") });
        let settings = json!({
            "name": stream, "storage": "file", "retention": "limits", "mirror": { "name": origin, "external": external },
        });
        self.call(&format!("STREAM.CREATE.{stream}"), &settings).await.map(drop)
    }

    /// Removes a stream and all that is in it.
    pub(super) async fn delete(&self, stream: &str) -> anyhow::Result<()> {
        self.call(&format!("STREAM.DELETE.{stream}"), &Value::Null)
            .await
            .map(drop)
    }

    /// How many messages a stream has.
    pub(super) async fn messages(&self, stream: &str) -> anyhow::Result<u64> {
        let reply = self.call(&format!("STREAM.INFO.{stream}"), &Value::Null).await?;
        Ok(reply
            .state
            .context("the NATS server tells a stream's name but not its state")?
            .messages)
    }

    /// Everything that comes into a stream from now on, pushed in its order and not acknowledged.
    pub(super) async fn follow(&self, stream: &str) -> anyhow::Result<mpsc::Receiver<Arrival>> {
        let inbox = format!("comparison.arrivals.{stream}");
        let arrivals = self.client.subscribe(&inbox);
        let consumer = json!({
            "deliver_subject": inbox, "deliver_policy": "new", "ack_policy": "none", "replay_policy": "instant",
            "max_deliver": 1, "mem_storage": true,
        });
        let request = json!({ "stream_name": stream, "config": consumer });
        self.call(&format!("CONSUMER.CREATE.{stream}"), &request).await?;
        Ok(arrivals)
    }

    /// Publishes. The caller bounds how many are under way.
    pub(super) fn publish(&self, subject: &str, payload: &[u8]) -> Stored {
        Stored(self.client.ask(subject, payload))
    }

    async fn call(&self, what: &str, request: &Value) -> anyhow::Result<Reply> {
        let body = if request.is_null() {
            String::new()
        } else {
            request.to_string()
        };
        let answer = self.client.ask(&format!("{}.{what}", self.prefix), body.as_bytes());
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        let answer = answer.map_err(|_| anyhow::anyhow!("no answer within {} s", ANSWER_WITHIN.as_secs()));
        let reply = answer.and_then(|answer| reply(&answer?));
        reply.with_context(|| format!("NATS: `{what}`"))
    }
}

fn reply(answer: &[u8]) -> anyhow::Result<Reply> {
    let reply: Reply = serde_json::from_slice(answer).context("the NATS server does not answer with JSON")?;
    if let Some(refusal) = reply.error {
        anyhow::bail!("the NATS server refuses: {}", refusal.description);
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::reply;

    #[test]
    fn what_a_server_answers() {
        assert!(reply(br#"{"stream":"CASES","seq":7}"#).unwrap().state.is_none());
        let state = reply(br#"{"type":"x","state":{"messages":3,"bytes":9}}"#)
            .unwrap()
            .state;
        assert_eq!(state.unwrap().messages, 3);
        let refused = reply(br#"{"error":{"code":404,"err_code":10059,"description":"stream not found"}}"#);
        assert!(refused.err().unwrap().to_string().contains("stream not found"));
        assert!(reply(b"+OK").is_err());
    }
}
