//! icomm-tests
