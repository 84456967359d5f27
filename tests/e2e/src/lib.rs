//! Drives the real test cluster: the acceptance scenarios and the demo.
