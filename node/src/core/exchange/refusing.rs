//! Documents that do not count: kept as a report, and told to whom they came from.

use icomm_proto::v1;

use super::{Exchange, LinkId};
use crate::core::law::AdoptError;
use crate::core::refused::{RefusedDocument, digest};
use crate::core::session::{Event, Peer};

impl Exchange {
    /// A peer's document does not count here.
    pub(super) fn refused_here(&self, link: LinkId, peer: &Peer, document: &v1::Document, error: &AdoptError) {
        tracing::warn!(peer = %peer.member, %error, "document refused");
        metrics::counter!("icomm_refused_documents_total", "peer" => peer.member.to_string(), "code" => error.code())
            .increment(1);
        // Ours: it may count when it comes again.
        if matches!(error, AdoptError::Store(_)) {
            return;
        }
        let code = error.code();
        let refused = RefusedDocument::here(&peer.member, document, code, &error.to_string(), self.now());
        self.report(&refused);
        let refused = v1::DocumentRefused {
            kind: document.kind,
            sha256: digest(&document.document).to_vec().into(),
            code: code.to_owned(),
        };
        self.mailbox.post(link, Event::Refuse(refused));
    }

    /// A peer says that a document of ours does not count there. What was not sent to it is not reported.
    pub(super) fn refused_there(&self, peer: &Peer, refused: &v1::DocumentRefused) {
        if self.request_declined(refused) {
            return;
        }
        let ours = self.law.documents_shared_with(&peer.member);
        let sent = ours
            .iter()
            .find(|document| document.kind == refused.kind && digest(&document.document) == *refused.sha256);
        if let Some(document) = sent {
            let refused = RefusedDocument::there(&peer.member, document, &refused.code, self.now());
            tracing::warn!(peer = %peer.member, code = refused.code, "the peer does not take a document of ours");
            self.report(&refused);
        }
    }

    fn report(&self, refused: &RefusedDocument) {
        if let Err(error) = refused.keep(&*self.store) {
            tracing::error!(%error, "the report of a refused document could not be stored");
        }
    }
}
