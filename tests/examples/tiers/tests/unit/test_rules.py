def test_arithmetic():
    assert 6 * 7 == 42
