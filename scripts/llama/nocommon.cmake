set(LLAMA_BUILD_COMMON OFF)  # the binding never loads libllama-common; building it doubles the compile time
