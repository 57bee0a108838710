//! The part of the stream behaviour that lives with one connection: negotiates streams, and says when the connection
//! no longer answers.

use std::{
    collections::VecDeque,
    fmt,
    task::{Context, Poll},
    time::Duration,
};

use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use super::{OpenError, Opened, PROTOCOL, Reply};
use crate::link::Carrier;

/// A request to a connection: open a stream, and answer there.
pub(crate) struct Ask {
    pub(super) carrier: Carrier,
    pub(super) reply: Reply,
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// The peer opened a stream.
    Inbound(Stream),
    /// The peer doesn't answer on this connection: it is gone, and nobody has noticed.
    Stuck,
}

// The swarm asks for it; nothing of a request is worth printing.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ask({})", self.carrier)
    }
}

/// The part of the behaviour that lives with a connection.
pub(crate) struct Handler {
    answer_max: Duration,
    asked: VecDeque<Ask>,
    told: VecDeque<Told>,
}

impl Handler {
    /// A stream has to be negotiated within `answer_max`.
    pub(super) fn new(answer_max: Duration) -> Self {
        Self {
            answer_max,
            asked: VecDeque::new(),
            told: VecDeque::new(),
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Ask;
    type ToBehaviour = Told;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Ask;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, ask: Ask) {
        self.asked.push_back(ask);
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        if let Some(told) = self.told.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(told));
        }
        while let Some(ask) = self.asked.pop_front() {
            if !ask.reply.is_closed() {
                let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ask).with_timeout(self.answer_max);
                return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
            }
        }
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            '_,
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.told.push_back(Told::Inbound(protocol));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                let _ = info.reply.send(Ok(Opened {
                    stream: protocol,
                    carrier: info.carrier,
                }));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                let error = match error {
                    StreamUpgradeError::Timeout => {
                        self.told.push_back(Told::Stuck);
                        OpenError::Timeout
                    }
                    StreamUpgradeError::NegotiationFailed => OpenError::NotSpoken,
                    StreamUpgradeError::Io(_) => OpenError::Broken,
                    StreamUpgradeError::Apply(never) => match never {},
                };
                let _ = info.reply.send(Err(error));
            }
            _ => {}
        }
    }
}
