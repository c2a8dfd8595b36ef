"""Energy and carbon of work, and plans for a cleaner grid."""
