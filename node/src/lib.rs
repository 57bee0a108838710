//! icomm-node
