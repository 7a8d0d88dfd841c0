"""Small Keras models with random weights, converted as a user converts them, and their outputs' digests.

Run in this folder, the first with TensorFlow 2.21.0, the second with tflite-micro 0.dev20261023182759 (each in
an environment of its own, as they ask for different numpy):
    python make.py models      # writes int8.tflite, uint8.tflite, float.tflite and their .scales, which are not kept
    python make.py digests     # prints what tests/keras.rs holds
A digest is the SHA-256 over the outputs of 200 inputs, whose bytes are SHA-256 of 0, 1, 2 and so on as u32 LE;
bytes are those of the int8 tensors behind the first QUANTIZE and before the last one.
"""
import hashlib, struct, sys
import numpy as np


def models():
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as schema
    import flatbuffers
    L = tf.keras.layers
    tf.keras.utils.set_random_seed(7)
    rng = np.random.default_rng(7)

    def convert(name, i, x, io):
        shape = (1,) + i.shape[1:]
        c = tf.lite.TFLiteConverter.from_keras_model(tf.keras.Model(i, x))
        c.optimizations = [tf.lite.Optimize.DEFAULT]
        c.representative_dataset = lambda: ([rng.uniform(-1, 1, shape).astype("f")] for _ in range(16))
        c.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        c.inference_input_type = c.inference_output_type = io
        m = schema.ModelT.InitFromObj(schema.Model.GetRootAs(c.convert()))
        g = m.subgraphs[0]
        # RELU6 rescales in TensorFlow Lite only, not in its Micro: keep the scale, as other converters do.
        for o in g.operators:
            code = m.operatorCodes[o.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) == schema.BuiltinOperator.RELU6:
                g.tensors[o.outputs[0]].quantization = g.tensors[o.inputs[0]].quantization
        b = flatbuffers.Builder()
        b.Finish(m.Pack(b), b"TFL3")
        open(name + ".tflite", "wb").write(b.Output())
        ends = [o.outputs[0] for o in g.operators if g.inputs[0] in o.inputs][:1]
        ends += [o.inputs[0] for o in g.operators if g.outputs[0] in o.outputs]
        q = [g.tensors[t].quantization for t in ends]
        open(name + ".scales", "w").write(" ".join(f"{float(t.scale[0])!r} {t.zeroPoint[0]}" for t in q))

    i = tf.keras.Input((12, 10, 3))
    x = L.Conv2D(6, 3, 2, "valid")(L.ZeroPadding2D(((1, 3), (2, 0)))(i))
    y = L.DepthwiseConv2D(3, padding="valid")(L.ZeroPadding2D(1)(L.ReLU()(x)))
    x = L.ReLU()(L.Add()([x, y]))
    x = L.MaxPool2D(3, 2)(L.ZeroPadding2D(1)(x))
    convert("int8", i, L.Softmax()(L.Dense(5)(L.GlobalAveragePooling2D()(x))), tf.int8)

    i = tf.keras.Input((9, 8, 2))
    x = L.Conv2D(6, 3, activation="relu6")(L.ReLU(6.0)(i))
    x = L.Conv2D(7, 1)(L.GlobalAveragePooling2D(keepdims=True)(x))
    convert("uint8", i, L.Softmax()(L.Dense(4)(L.Flatten()(x))), tf.uint8)

    i = tf.keras.Input((30, 4))
    x = L.Conv1D(6, 3, padding="causal", activation="relu")(i)
    x = L.Conv1D(5, 3, padding="same")(x)
    x = L.Concatenate()([L.GlobalAveragePooling1D()(x), L.GlobalMaxPooling1D()(x)])
    convert("float", i, L.Dense(3)(x), tf.float32)


def digests():
    from tflite_micro.python.tflite_micro import runtime
    for name in ["int8", "uint8", "float"]:
        it = runtime.Interpreter.from_file(name + ".tflite")
        s_in, z_in, s_out, z_out = map(float, open(name + ".scales").read().split())
        details = it.get_input_details(0)
        n = int(np.prod(details["shape"]))
        stream = b"".join(hashlib.sha256(struct.pack("<I", k)).digest() for k in range(n * 200 // 32 + 1))
        want = hashlib.sha256()
        for k in range(200):
            q = np.frombuffer(stream[k * n : (k + 1) * n], np.int8).astype(int)
            x = {"int8": q.astype(np.int8), "uint8": (q + 128).astype(np.uint8)}.get(name)
            x = ((q - z_in) * s_in).astype("f") if x is None else x
            it.set_input(x.reshape(details["shape"]), 0)
            it.invoke()
            y = it.get_output(0).astype(float)
            y = {"int8": y, "uint8": y - 128}.get(name, np.round(y / s_out + z_out))
            want.update(y.astype(np.int8).tobytes())
        print(name, want.hexdigest())


{"models": models, "digests": digests}[sys.argv[1]]()
