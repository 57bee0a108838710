//! Node names: one DNS label, unique within the member.

use std::{str::FromStr, sync::Arc};

use super::{InvalidName, is_dns_label, text_traits};

/// The name of one node of a member, such as `node1`: a DNS label in lower case. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Arc<str>);

text_traits!(NodeName);

impl FromStr for NodeName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if is_dns_label(text) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName::Node(super::shortened(text)))
        }
    }
}
