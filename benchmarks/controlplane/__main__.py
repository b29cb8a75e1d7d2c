"""`python -m benchmarks.controlplane`: this measurement alone, with its options."""

from benchmarks.controlplane import main

main()
