//! Who is who, as the trust bundle says. Policy asks it for keys when documents are verified, and for roles and regions
//! when it decides.

use icomm_pki::{Domain, InvalidSignature, MemberId, MemberPublicKey, Role, Signature, VerifiedBundle};

/// The member directory, as far as policy needs it.
pub trait KeyDirectory: Send + Sync {
    /// The key with which a member signs; none for a stranger.
    fn key(&self, member: &MemberId) -> Option<MemberPublicKey>;

    /// Whether a signature under a document is the member's and counts; none for a stranger. A directory that knows former
    /// keys of members says so of what they signed.
    fn verify(
        &self,
        member: &MemberId,
        domain: Domain,
        message: &[u8],
        signature: &Signature,
    ) -> Option<Result<(), InvalidSignature>> {
        Some(self.key(member)?.verify(domain, message, signature))
    }

    /// The member's role; none for a stranger.
    fn role(&self, member: &MemberId) -> Option<Role>;

    /// The offices of the regions that the member belongs to; some members belong to two.
    fn regions(&self, member: &MemberId) -> Vec<MemberId>;
}

impl KeyDirectory for VerifiedBundle {
    fn key(&self, member: &MemberId) -> Option<MemberPublicKey> {
        self.member(member).map(|entry| entry.key)
    }

    fn verify(
        &self,
        member: &MemberId,
        domain: Domain,
        message: &[u8],
        signature: &Signature,
    ) -> Option<Result<(), InvalidSignature>> {
        Some(self.member(member)?.keys.verify(domain, message, signature))
    }

    fn role(&self, member: &MemberId) -> Option<Role> {
        self.member(member).map(|entry| entry.role)
    }

    fn regions(&self, member: &MemberId) -> Vec<MemberId> {
        self.member(member)
            .map(|entry| entry.regions.clone())
            .unwrap_or_default()
    }
}
