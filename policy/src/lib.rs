//! icomm-policy
