//! CA-issued certificates over libp2p, whose own handshakes can't carry them. On a fresh stream, before HTTP/2, both
//! sides send their chain at once:
//!
//! ```text
//! "icomm/1\n" (8) | certificates u8 (1..=4) | certificates × (length u16 BE | DER)
//! ```
//!
//! The libp2p handshake has proved who holds the key behind the PeerId; the chain, checked like one of TLS, proves
//! that an authority vouches for exactly that PeerId as a node of a member.

use std::io;

use icomm_pki::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const TAG: &[u8; 8] = b"icomm/1\n";
const CERTIFICATES_MAX: usize = 4;
/// Small enough that two sides which both write first never fill a flow-control window.
const CERTIFICATE_BYTES_MAX: usize = 8 * 1024;

/// Why no chain was exchanged.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// The stream broke.
    #[error("the stream broke while certificates were exchanged: {0}")]
    Broken(#[from] io::Error),
    /// Not our protocol.
    #[error("the peer doesn't speak version 1 of the certificate exchange")]
    Tag,
    /// The chain is empty or too long.
    #[error("{0} certificates instead of 1 to {CERTIFICATES_MAX}")]
    Count(usize),
    /// A certificate is empty or too large.
    #[error("a certificate of {0} bytes instead of 1 to {CERTIFICATE_BYTES_MAX}")]
    Size(usize),
}

/// Sends `ours`, returns theirs. Who they are is not judged here.
pub(super) async fn exchange<S>(
    stream: &mut S,
    ours: &[CertificateDer<'_>],
) -> Result<Vec<CertificateDer<'static>>, AttestError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(&encode(ours)?).await?;
    stream.flush().await?;
    let mut tag = [0; TAG.len()];
    stream.read_exact(&mut tag).await?;
    if &tag != TAG {
        return Err(AttestError::Tag);
    }
    let count = usize::from(stream.read_u8().await?);
    if !(1..=CERTIFICATES_MAX).contains(&count) {
        return Err(AttestError::Count(count));
    }
    let mut chain = Vec::with_capacity(count);
    for _ in 0..count {
        let size = usize::from(stream.read_u16().await?);
        if !(1..=CERTIFICATE_BYTES_MAX).contains(&size) {
            return Err(AttestError::Size(size));
        }
        let mut der = vec![0; size];
        stream.read_exact(&mut der).await?;
        chain.push(CertificateDer::from(der));
    }
    Ok(chain)
}

fn encode(chain: &[CertificateDer<'_>]) -> Result<Vec<u8>, AttestError> {
    let count = u8::try_from(chain.len())
        .ok()
        .filter(|n| (1..=CERTIFICATES_MAX).contains(&usize::from(*n)));
    let mut out = TAG.to_vec();
    out.push(count.ok_or(AttestError::Count(chain.len()))?);
    for certificate in chain {
        let size = u16::try_from(certificate.len()).ok();
        let size = size.filter(|n| (1..=CERTIFICATE_BYTES_MAX).contains(&usize::from(*n)));
        out.extend_from_slice(&size.ok_or(AttestError::Size(certificate.len()))?.to_be_bytes());
        out.extend_from_slice(certificate);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(work)
    }

    async fn read(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, AttestError> {
        let (mut near, mut far) = tokio::io::duplex(64 * 1024);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        exchange(&mut near, &[CertificateDer::from(vec![1])]).await
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn both_sides_get_the_others_chain(
            a in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..=CERTIFICATES_MAX),
            b in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 1..=CERTIFICATES_MAX),
        ) {
            let chain = |raw: &[Vec<u8>]| raw.iter().cloned().map(CertificateDer::from).collect::<Vec<_>>();
            let (a, b) = (chain(&a), chain(&b));
            let (got_a, got_b) = block_on(async {
                let (mut near, mut far) = tokio::io::duplex(64 * 1024);
                tokio::join!(exchange(&mut near, &a), exchange(&mut far, &b))
            });
            prop_assert_eq!(got_a.unwrap(), b);
            prop_assert_eq!(got_b.unwrap(), a);
        }
    }

    #[test]
    fn bad_chains_are_typed_errors() {
        let from = |count: u8, rest: &[u8]| [TAG.as_slice(), &[count], rest].concat();
        assert!(matches!(block_on(read(b"HTTP/1.1 200 OK\r\n")), Err(AttestError::Tag)));
        assert!(matches!(block_on(read(&from(0, &[]))), Err(AttestError::Count(0))));
        assert!(matches!(block_on(read(&from(5, &[]))), Err(AttestError::Count(5))));
        assert!(matches!(block_on(read(&from(1, &[0, 0]))), Err(AttestError::Size(0))));
        assert!(matches!(
            block_on(read(&from(1, &[0xff, 0xff]))),
            Err(AttestError::Size(65_535))
        ));
        assert!(matches!(
            block_on(read(&from(1, &[0, 9, 1, 2]))),
            Err(AttestError::Broken(_))
        ));
        assert!(matches!(encode(&[]), Err(AttestError::Count(0))));
        assert!(matches!(
            encode(&[CertificateDer::from(vec![0; 9_000])]),
            Err(AttestError::Size(9_000))
        ));
    }
}
