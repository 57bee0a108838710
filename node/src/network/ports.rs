//! Free ports on loopback for nodes that are about to start.
//!
//! A port is chosen by the kernel and stays bound, but not listening, until the node that gets it has been stopped: another
//! program that asks the kernel for "any port" is not given this one, while the node itself may listen on it, because both
//! sockets allow the address to be reused. (A datagram port can't be shared like that. It is let go just before its node
//! starts.)

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use tokio::net::TcpSocket;

/// A TCP port on 127.0.0.1 that nobody else is given.
pub struct StreamPort {
    address: SocketAddr,
    _held: TcpSocket,
}

impl StreamPort {
    /// Takes a free one.
    ///
    /// # Errors
    /// There is none.
    pub fn reserve() -> io::Result<Self> {
        let held = TcpSocket::new_v4()?;
        held.set_reuseaddr(true)?;
        held.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        Ok(Self {
            address: held.local_addr()?,
            _held: held,
        })
    }

    /// Where the node listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A UDP port on 127.0.0.1, held until it is let go.
pub(super) struct DatagramPort {
    address: SocketAddr,
    held: Option<UdpSocket>,
}

impl DatagramPort {
    /// Takes a free one.
    pub(super) fn reserve() -> io::Result<Self> {
        let held = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        Ok(Self {
            address: held.local_addr()?,
            held: Some(held),
        })
    }

    /// Where the node listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Frees the port for the node that starts now.
    pub(super) fn release(&mut self) {
        self.held = None;
    }
}

impl fmt::Debug for StreamPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamPort({})", self.address)
    }
}

impl fmt::Debug for DatagramPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatagramPort({})", self.address)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::net::TcpListener;

    use super::{DatagramPort, StreamPort};

    #[tokio::test]
    async fn a_reserved_port_can_be_listened_on_and_is_given_to_nobody_else() {
        let reserved: Vec<StreamPort> = (0..50).map(|_| StreamPort::reserve().unwrap()).collect();
        let ports: BTreeSet<u16> = reserved.iter().map(|port| port.address().port()).collect();
        assert_eq!(ports.len(), reserved.len());
        let any = TcpListener::bind("127.0.0.1:0").await.unwrap();
        assert!(!ports.contains(&any.local_addr().unwrap().port()));
        // Listened on, given up and listened on again, as by a node that is restarted.
        for _ in 0..2 {
            drop(TcpListener::bind(reserved[0].address()).await.unwrap());
        }
    }

    #[test]
    fn a_datagram_port_is_held_until_it_is_let_go() {
        let mut port = DatagramPort::reserve().unwrap();
        assert!(std::net::UdpSocket::bind(port.address()).is_err());
        port.release();
        std::net::UdpSocket::bind(port.address()).unwrap();
    }
}
