"""Scripts that read and write in the most usual ways: run by `test_capture_strace.py`."""
