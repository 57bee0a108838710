//! A link without a network: the frames that one node has for one other, in a file that somebody carries.
//!
//! ```text
//! "icomm-parcel/1\n" (15)
//! head:    length u32 BE | ParcelHead (protobuf)              who it is from and for, certificates; in clear
//! secret:  32                                                 HPKE (RFC 9180) encapsulated to the receiver's node
//! frames:  (length u32 BE | sealed Frame)*                    sealed in order; `info` is all before `secret`
//! end:     0 u32 | signature 64                               of the sender's node, over SHA-256 of all before it
//! ```
//!
//! What TLS does on a network is done here: the sender is who its certificates say, under the current trust bundle; the
//! signature proves that it holds the key they name, and that nothing is missing; only the receiver can read it. A parcel
//! that is taken in twice, or late, is as harmless as frames that arrive twice: the session above sees to that.

use std::io::{self, Read, Seek, SeekFrom, Write};

use icomm_pki::{
    CertificateDer, Domain, ENCAPSULATED_BYTES, InvalidPeer, NodeKey, Opener, PeerId, PeerIdentity, SEAL_BYTES, Sealer,
    SealingError, Signature, VerifiedBundle, authenticate, seal_to, verify_by,
};
use icomm_proto::v1::{Frame, ParcelHead};
use prost::Message;
use sha2::{Digest, Sha256};
use thiserror::Error;
use time::OffsetDateTime;

const TAG: &[u8; 15] = b"icomm-parcel/1\n";
/// The longest head: a few names and a chain of certificates.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest frame, as on any carrier.
const FRAME_BYTES_MAX: usize = 9 << 20;
const SIGNATURE_BYTES: usize = 64;
const END: [u8; 4] = [0; 4];

/// Why a file is not taken in. Nothing of it counted, except where a frame is at fault that was signed.
#[derive(Debug, Error)]
pub enum InvalidParcel {
    /// It can't be read: the disk's fault.
    #[error("the parcel can't be read: {0}")]
    Unreadable(#[source] io::Error),
    /// Something else, or a later version.
    #[error("this is not a parcel of version 1")]
    Tag,
    /// It ends before its end. Nothing was taken from it.
    #[error("the parcel is cut short; copy it again")]
    Short,
    /// Bytes follow its end.
    #[error("something follows the end of the parcel")]
    Trailing,
    /// The head is too long or no head.
    #[error("the parcel's head can't be read")]
    Head,
    /// A frame is too long or no frame.
    #[error("frame {0} of the parcel can't be read")]
    Frame(u64),
    /// For somebody else.
    #[error("the parcel is for node `{node}` of `{member}`")]
    Addressee {
        /// Whose node.
        member: String,
        /// Its node.
        node: String,
    },
    /// The sender's certificates don't count.
    #[error("the parcel's sender is not to be trusted: {0}")]
    Sender(#[from] InvalidPeer),
    /// The head names another sender than the certificates.
    #[error("the parcel says that it is from `{0}`, its certificates say otherwise")]
    Name(String),
    /// Changed on the way, or not the sender's.
    #[error("the parcel's signature is not its sender's: it was changed on the way")]
    Signature,
    /// Signed by its sender, yet not sealed to this node.
    #[error("frame {0} of the parcel can't be opened: {1}")]
    Opening(u64, #[source] SealingError),
}

impl From<io::Error> for InvalidParcel {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Short,
            _ => Self::Unreadable(error),
        }
    }
}

/// Bytes on their way in or out, hashed.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
    bytes: u64,
}

impl<T> Hashing<T> {
    fn new(inner: T) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    fn put_piece(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        self.put(&length.to_be_bytes())?;
        self.put(bytes)
    }
}

impl<R: Read> Hashing<R> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.hash.update(bytes);
        self.bytes += N as u64;
        Ok(bytes)
    }

    /// A piece with its length before it; `None` if it is longer than it may be.
    fn take_piece(&mut self, max: usize) -> io::Result<Option<Vec<u8>>> {
        let length = u32::from_be_bytes(self.take()?) as usize;
        if length > max {
            return Ok(None);
        }
        let mut bytes = vec![0; length];
        self.inner.read_exact(&mut bytes)?;
        self.hash.update(&bytes);
        self.bytes += length as u64;
        Ok(Some(bytes))
    }
}

/// A parcel being written.
pub(crate) struct Packing<W> {
    out: Hashing<W>,
    sealer: Sealer,
}

impl<W: Write> Packing<W> {
    /// Begins a parcel to the node of this libp2p id.
    pub(crate) fn begin(out: W, head: &ParcelHead, to: &PeerId) -> io::Result<Self> {
        let mut out = Hashing::new(out);
        let head = head.encode_to_vec();
        let info = [TAG.as_slice(), &head].concat();
        let (secret, sealer) = seal_to(to, &info).map_err(io::Error::other)?;
        out.put(TAG)?;
        out.put_piece(&head)?;
        out.put(&secret)?;
        Ok(Self { out, sealer })
    }

    /// Adds a frame.
    pub(crate) fn add(&mut self, frame: &Frame) -> io::Result<()> {
        let sealed = self.sealer.seal(&frame.encode_to_vec()).map_err(io::Error::other)?;
        self.out.put_piece(&sealed)
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.out.bytes
    }

    /// Signs it; gives how long it is.
    pub(crate) fn finish(mut self, key: &NodeKey) -> io::Result<u64> {
        self.out.put(&END)?;
        let Hashing { mut inner, hash, bytes } = self.out;
        let signature = key.sign(Domain::Parcel, &hash.finalize());
        inner.write_all(signature.as_bytes())?;
        inner.flush()?;
        Ok(bytes + SIGNATURE_BYTES as u64)
    }
}

/// A parcel whose sender and signature hold: all of it is there, and from whom it says.
pub(crate) struct Parcel<R> {
    input: R,
    head: ParcelHead,
    sender: PeerIdentity,
    opener: Opener,
    frames: u64,
}

/// The node that a parcel must be for.
pub(crate) struct Addressee<'a> {
    pub(crate) member: &'a str,
    pub(crate) node: &'a str,
    pub(crate) key: &'a NodeKey,
}

impl<R: Read + Seek> Parcel<R> {
    /// Reads all of it once and checks everything but the frames.
    pub(crate) fn verify(
        mut input: R,
        addressee: &Addressee<'_>,
        bundle: &VerifiedBundle,
        now: OffsetDateTime,
    ) -> Result<Self, InvalidParcel> {
        input.seek(SeekFrom::Start(0))?;
        let mut reading = Hashing::new(&mut input);
        if reading.take()? != *TAG {
            return Err(InvalidParcel::Tag);
        }
        let bytes = reading.take_piece(HEAD_BYTES_MAX)?.ok_or(InvalidParcel::Head)?;
        let head = ParcelHead::decode(bytes.as_slice()).map_err(|_| InvalidParcel::Head)?;
        if (head.to_member.as_str(), head.to_node.as_str()) != (addressee.member, addressee.node) {
            let ParcelHead { to_member, to_node, .. } = head;
            return Err(InvalidParcel::Addressee {
                member: to_member,
                node: to_node,
            });
        }
        let chain: Vec<_> = head
            .chain
            .iter()
            .map(|der| CertificateDer::from(der.to_vec()))
            .collect();
        let sender = authenticate(&chain, bundle, now)?;
        if (head.from_member.as_str(), head.from_node.as_str()) != (sender.member().as_str(), sender.node().as_str()) {
            return Err(InvalidParcel::Name(head.from_member));
        }
        let secret: [u8; ENCAPSULATED_BYTES] = reading.take()?;
        let first = reading.bytes;
        let mut frames = 0;
        while !reading
            .take_piece(FRAME_BYTES_MAX + SEAL_BYTES)?
            .ok_or(InvalidParcel::Frame(frames))?
            .is_empty()
        {
            frames += 1;
        }
        let mut signature = [0; SIGNATURE_BYTES];
        reading.inner.read_exact(&mut signature)?;
        let signed = reading.hash.finalize();
        if input.read(&mut [0])? != 0 {
            return Err(InvalidParcel::Trailing);
        }
        verify_by(
            &sender.peer_id(),
            Domain::Parcel,
            &signed,
            &Signature::from_bytes(signature),
        )
        .map_err(|_| InvalidParcel::Signature)?;
        let info = [TAG.as_slice(), &bytes].concat();
        let opener = addressee.key.opener(secret, &info);
        input.seek(SeekFrom::Start(first))?;
        Ok(Self {
            input,
            head,
            sender,
            opener: opener.map_err(|error| InvalidParcel::Opening(0, error))?,
            frames: 0,
        })
    }

    /// Who it is from.
    pub(crate) fn sender(&self) -> &PeerIdentity {
        &self.sender
    }

    /// When it was made, in seconds since 1970, as its sender says.
    pub(crate) fn time(&self) -> u64 {
        self.head.time
    }

    /// The next frame; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, InvalidParcel> {
        let at = self.frames;
        let sealed = Hashing::new(&mut self.input).take_piece(FRAME_BYTES_MAX + SEAL_BYTES)?;
        let sealed = sealed.ok_or(InvalidParcel::Frame(at))?;
        if sealed.is_empty() {
            return Ok(None);
        }
        self.frames += 1;
        let opened = self
            .opener
            .open(&sealed)
            .map_err(|error| InvalidParcel::Opening(at, error))?;
        let frame = Frame::decode(opened.as_slice()).map_err(|_| InvalidParcel::Frame(at))?;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests;
