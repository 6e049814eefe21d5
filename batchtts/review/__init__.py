"""Is it any good?"""
