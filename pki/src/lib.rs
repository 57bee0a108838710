//! icomm-pki
