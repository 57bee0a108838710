//! What a statement about consent must be like before anybody acts on it: signed by whom it names, whole, and free of
//! contradictions.

use icomm_proto::{SectionKind, SectionSet};

use super::{CONSENT_SECONDS_MAX, Consent, ConsentRefusal, ConsentRequest, ConsentSeen, Subject, Verdict};
use crate::agreement::{Digest, Signed, Verified};
use crate::directory::KeyDirectory;

impl ConsentRequest {
    /// Reads a signed request and checks it.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(bytes: &[u8], directory: &dyn KeyDirectory) -> Result<Verified<Self>, ConsentRefusal> {
        let verified = Signed::<Self>::parse(bytes)?.verify(directory)?;
        verified.statement().check()?;
        Ok(verified)
    }

    /// Checks that it says something sensible.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConsentRefusal> {
        check_sections(&self.subject, self.sections)?;
        if self.to == self.by {
            return Err(ConsentRefusal::Contradiction(
                "it asks to send something to its own sender",
            ));
        }
        check_audience(&self.subject, &self.to)
    }
}

impl Consent {
    /// Reads a signed answer and checks it.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(bytes: &[u8], directory: &dyn KeyDirectory) -> Result<Verified<Self>, ConsentRefusal> {
        let verified = Signed::<Self>::parse(bytes)?.verify(directory)?;
        verified.statement().check()?;
        Ok(verified)
    }

    /// Checks that its member may say it, and that it says something sensible.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn check(&self) -> Result<(), ConsentRefusal> {
        if self.by != *self.subject.owner() {
            return Err(ConsentRefusal::NotOwner {
                by: self.by.clone(),
                owner: self.subject.owner().clone(),
            });
        }
        check_sections(&self.subject, self.sections)?;
        check_audience(&self.subject, &self.to)?;
        if self.version == 0 {
            return Err(ConsentRefusal::Contradiction("answers are numbered from 1"));
        }
        let until = match self.verdict {
            Verdict::Approved => self.at < self.until && self.until - self.at <= CONSENT_SECONDS_MAX,
            Verdict::Refused | Verdict::Revoked => self.until == 0,
        };
        match until {
            true => Ok(()),
            false => Err(ConsentRefusal::Contradiction(
                "an approval ends later than it begins and within ten years; nothing else has an end",
            )),
        }
    }

    /// Whether it answers `request`, of which `digest` is the digest. A refusal and a revocation need not: they take nothing
    /// but leave.
    ///
    /// # Errors
    /// It approves something else.
    pub fn answers(&self, request: Option<(&ConsentRequest, Digest)>) -> Result<(), ConsentRefusal> {
        if self.verdict != Verdict::Approved {
            return Ok(());
        }
        let (request, digest) = request.ok_or(ConsentRefusal::Unasked)?;
        if digest != self.request {
            return Err(ConsentRefusal::Unasked);
        }
        let other = match () {
            () if self.subject != request.subject => "another subject",
            () if self.holder != request.by || self.to != request.to => "other members",
            () if !self.sections.is_subset(request.sections) => "more sections",
            () if self.purpose != request.purpose => "another purpose",
            () if self.agreement != request.agreement => "another agreement",
            () => return Ok(()),
        };
        Err(ConsentRefusal::OtherThanAsked(other))
    }
}

impl ConsentSeen {
    /// Reads a signed notice and checks it.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn verify(bytes: &[u8], directory: &dyn KeyDirectory) -> Result<Verified<Self>, ConsentRefusal> {
        Ok(Signed::<Self>::parse(bytes)?.verify(directory)?)
    }
}

/// Nothing can be understood without the open section, and of an operation nothing else can be asked for.
fn check_sections(subject: &Subject, sections: SectionSet) -> Result<(), ConsentRefusal> {
    let enough = sections.contains(SectionKind::Case);
    let within = match subject {
        Subject::Record { .. } => SectionSet::ALL,
        Subject::Operation { .. } => SectionSet::open(),
    };
    match enough && sections.is_subset(within) {
        true => Ok(()),
        false => Err(ConsentRefusal::Contradiction(
            "the sections are `case` with others of a record, or `case` alone of an operation",
        )),
    }
}

fn check_audience(subject: &Subject, to: &icomm_pki::MemberId) -> Result<(), ConsentRefusal> {
    match to == subject.owner() {
        true => Err(ConsentRefusal::Contradiction(
            "it would send an originator its own records",
        )),
        false => Ok(()),
    }
}
